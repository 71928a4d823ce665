"""Slots: which priorities an executor has capacity for."""

from __future__ import annotations

import pytest

from executor.slots import MAX_FINISHING, Slots
from gateway.domain.job import Priority

HIGH, NORMAL, LOW = Priority


def test_one_job_waits_while_another_runs() -> None:
    """Two jobs of one priority get a slot, a third one does not."""
    slots = Slots(concurrency=1, look_ahead=1)
    for _ in range(2):
        assert slots.open_priorities() == (HIGH, NORMAL, LOW)
        slots.acquire("job", HIGH)
    assert slots.open_priorities() == ()


def test_waiting_jobs_of_lower_priority_block_no_slot() -> None:
    """A job gets a slot while no job of its priority or a higher one waits."""
    slots = Slots(concurrency=1, look_ahead=1)
    slots.acquire("job", LOW)
    slots.acquire("job", LOW)
    assert slots.open_priorities() == (HIGH, NORMAL)
    slots.acquire("job", NORMAL)
    assert slots.open_priorities() == (HIGH,)
    slots.acquire("job", HIGH)
    assert slots.open_priorities() == ()


def test_slots_follow_the_order_of_comfyui() -> None:
    """When a prompt finishes, the waiting one of the highest priority runs, and frees its slot for others."""
    slots = Slots(concurrency=1, look_ahead=1)
    running = slots.acquire("job", LOW)
    slots.acquire("job", LOW)
    slots.acquire("job", HIGH)
    slots.start_finishing(running)
    assert slots.open_priorities() == (HIGH, NORMAL)


@pytest.mark.parametrize("look_ahead", [0, 3])
def test_look_ahead_limits_waiting_jobs(look_ahead: int) -> None:
    """With a look-ahead of 0 not even a job of high priority waits on ComfyUI."""
    slots = Slots(concurrency=2, look_ahead=look_ahead)
    for _ in range(2 + look_ahead):
        assert slots.open_priorities() == (HIGH, NORMAL, LOW)
        slots.acquire("job", LOW)
    assert slots.open_priorities() == ((HIGH, NORMAL) if look_ahead else ())


def test_an_executor_is_idle_below_its_concurrency() -> None:
    """A free slot for a waiting job does not make it idle."""
    slots = Slots(concurrency=2, look_ahead=1)
    first, _second = slots.acquire("job", LOW), slots.acquire("job", LOW)
    assert not slots.idle
    slots.start_finishing(first)
    assert slots.idle


def test_too_many_finishing_jobs_block_all_slots() -> None:
    """When storing is slower than the GPU, the GPU waits until a job is done."""
    slots = Slots(concurrency=1, look_ahead=1)
    for _ in range(MAX_FINISHING):
        last = slots.acquire("job", NORMAL)
        slots.start_finishing(last)
    assert slots.open_priorities() == ()
    assert not slots.idle
    slots.release(last)
    assert slots.open_priorities() == (HIGH, NORMAL, LOW)


def test_a_slot_can_be_released_before_its_job_ran() -> None:
    """As when the job could not be claimed."""
    slots = Slots(concurrency=1, look_ahead=0)
    slots.release(slots.acquire("job", NORMAL))
    assert slots.idle
