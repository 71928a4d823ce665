from __future__ import annotations

import pytest

from executor.slots import MAX_FINISHING, Slots
from gateway.domain.job import Priority

HIGH, NORMAL, LOW = Priority


def test_one_waits_beside_the_one_that_runs() -> None:
    """Two jobs of a priority find a place, a third does not."""
    places = Slots(1, 1)
    for _ in range(2):
        assert places.open_to() == (HIGH, NORMAL, LOW)
        places.take("job", HIGH)
    assert places.open_to() == ()


def test_what_waits_with_a_lower_priority_is_in_nobodys_way() -> None:
    """Jobs of higher priority find a place as long as none of theirs, or of a higher one, waits."""
    places = Slots(1, 1)
    places.take("job", LOW)
    places.take("job", LOW)
    assert places.open_to() == (HIGH, NORMAL)
    places.take("job", NORMAL)
    assert places.open_to() == (HIGH,)
    places.take("job", HIGH)
    assert places.open_to() == ()


def test_the_next_of_high_priority_may_come_when_the_last_one_runs() -> None:
    """The line is ComfyUI's: when a prompt ends, that of the highest priority runs, whenever it was taken."""
    places = Slots(1, 1)
    running = places.take("job", LOW)
    places.take("job", LOW)
    places.take("job", HIGH)
    places.free(running)
    assert places.open_to() == (HIGH, NORMAL)


@pytest.mark.parametrize("ahead", [0, 3])
def test_so_many_wait_as_are_allowed_to(ahead: int) -> None:
    """Without look-ahead not even a job of high priority waits on ComfyUI."""
    places = Slots(2, ahead)
    for _ in range(2 + ahead):
        assert places.open_to() == (HIGH, NORMAL, LOW)
        places.take("job", LOW)
    assert places.open_to() == ((HIGH, NORMAL) if ahead else ())


def test_it_is_idle_until_it_runs_as_many_as_it_may() -> None:
    """A place in the line does not make it idle, a place on the GPU does."""
    places = Slots(2, 1)
    first, _second = places.take("job", LOW), places.take("job", LOW)
    assert not places.idle
    places.free(first)
    assert places.idle


def test_too_many_jobs_that_are_being_finished_keep_others_out() -> None:
    """When storing is slower than the GPU, the GPU waits; a job that is wholly done makes room."""
    places = Slots(1, 1)
    for _ in range(MAX_FINISHING):
        last = places.take("job", NORMAL)
        places.free(last)
    assert places.open_to() == ()
    assert not places.idle
    places.leave(last)
    assert places.open_to() == (HIGH, NORMAL, LOW)


def test_a_job_that_never_got_to_comfyui_leaves_no_trace() -> None:
    """One that could not be claimed, say, is left without having been freed."""
    places = Slots(1, 0)
    places.leave(places.take("job", NORMAL))
    assert places.idle
