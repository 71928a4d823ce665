from __future__ import annotations

import pytest

from executor.slots import MAX_FINISHING, Slots
from gateway.domain.job import Priority

HIGH, NORMAL, LOW = Priority


def test_one_waits_beside_the_one_that_runs() -> None:
    """Two jobs of a priority find a place, a third does not."""
    slots = Slots(1, 1)
    for _ in range(2):
        assert slots.open_priorities() == (HIGH, NORMAL, LOW)
        slots.acquire("job", HIGH)
    assert slots.open_priorities() == ()


def test_what_waits_with_a_lower_priority_is_in_nobodys_way() -> None:
    """Jobs of higher priority find a place as long as none of theirs, or of a higher one, waits."""
    slots = Slots(1, 1)
    slots.acquire("job", LOW)
    slots.acquire("job", LOW)
    assert slots.open_priorities() == (HIGH, NORMAL)
    slots.acquire("job", NORMAL)
    assert slots.open_priorities() == (HIGH,)
    slots.acquire("job", HIGH)
    assert slots.open_priorities() == ()


def test_the_next_of_high_priority_may_come_when_the_last_one_runs() -> None:
    """The line is ComfyUI's: when a prompt ends, that of the highest priority runs, whenever it was taken."""
    slots = Slots(1, 1)
    running = slots.acquire("job", LOW)
    slots.acquire("job", LOW)
    slots.acquire("job", HIGH)
    slots.start_finishing(running)
    assert slots.open_priorities() == (HIGH, NORMAL)


@pytest.mark.parametrize("ahead", [0, 3])
def test_so_many_wait_as_are_allowed_to(ahead: int) -> None:
    """Without look-ahead not even a job of high priority waits on ComfyUI."""
    slots = Slots(2, ahead)
    for _ in range(2 + ahead):
        assert slots.open_priorities() == (HIGH, NORMAL, LOW)
        slots.acquire("job", LOW)
    assert slots.open_priorities() == ((HIGH, NORMAL) if ahead else ())


def test_it_is_idle_until_it_runs_as_many_as_it_may() -> None:
    """A place in the line does not make it idle, a place on the GPU does."""
    slots = Slots(2, 1)
    first, _second = slots.acquire("job", LOW), slots.acquire("job", LOW)
    assert not slots.idle
    slots.start_finishing(first)
    assert slots.idle


def test_too_many_jobs_that_are_being_finished_keep_others_out() -> None:
    """When storing is slower than the GPU, the GPU waits; a job that is wholly done makes room."""
    slots = Slots(1, 1)
    for _ in range(MAX_FINISHING):
        last = slots.acquire("job", NORMAL)
        slots.start_finishing(last)
    assert slots.open_priorities() == ()
    assert not slots.idle
    slots.release(last)
    assert slots.open_priorities() == (HIGH, NORMAL, LOW)


def test_a_job_that_never_got_to_comfyui_leaves_no_trace() -> None:
    """One that could not be claimed, say, is left without having been freed."""
    slots = Slots(1, 0)
    slots.release(slots.acquire("job", NORMAL))
    assert slots.idle
