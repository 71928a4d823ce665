"""When a job counts as lost: never while a message or a lease stands for it, and always soon after none does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.aws.resources import SCHEDULES, SWEEPER
from gateway.domain.job import JobStatus, Priority
from gateway.domain.lost_jobs import GRACE, LONGEST_GAP, SweepState
from tests.component.samples import NOW, new_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.job import Job

MINUTE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=14)
NONE = dict.fromkeys(Priority, 0)


def looked(minutes: Sequence[float], messages: dict[Priority, int] | None = None) -> SweepState:
    """Look at so many minutes after NOW, finding the same each time."""
    sweep = SweepState()
    for at in minutes:
        sweep = sweep.after_count(messages or NONE, NOW + at * MINUTE)
    return sweep


def running(lease_ran_out: float) -> Job:
    """Make a running job whose lease ran out so many minutes after NOW."""
    return new_job(status=JobStatus.RUNNING, attempt=1, lease_expires_at=NOW + lease_ran_out * MINUTE)


def test_the_schedule_fits_the_rules() -> None:
    """One look may be a bit late; two looks are within the time after which a job can be lost."""
    (every,) = [schedule.every_minutes * MINUTE for schedule in SCHEDULES if schedule.function is SWEEPER]
    assert every * 1.5 <= LONGEST_GAP < GRACE
    assert timedelta(seconds=SWEEPER.timeout_seconds) < every


def test_a_job_is_lost_when_its_queues_stay_empty() -> None:
    """Ten minutes of looks after it was accepted."""
    assert not looked([0, 5, 9.9]).is_lost(new_job(), LONGEST_WAIT)
    assert looked([0, 5, 10.1]).is_lost(new_job(), LONGEST_WAIT)


def test_looks_from_before_the_job_do_not_count() -> None:
    """A queue that was empty for long says nothing of a job that came just now."""
    assert not looked([-20, -15, -10, -5, 0, 5]).is_lost(new_job(), LONGEST_WAIT)


def test_one_message_anywhere_saves_all_of_its_priority() -> None:
    """Nobody knows whose it is. The other priorities have queues of their own."""
    sweep = looked([0, 5]).after_count({**NONE, Priority.NORMAL: 1}, NOW + 11 * MINUTE)
    assert not sweep.is_lost(new_job(), LONGEST_WAIT)
    assert sweep.is_lost(new_job(priority=Priority.LOW), LONGEST_WAIT)
    again = sweep.after_count(NONE, NOW + 16 * MINUTE).after_count(NONE, NOW + 21 * MINUTE)
    assert not again.is_lost(new_job(), LONGEST_WAIT)
    assert again.after_count(NONE, NOW + 26.1 * MINUTE).is_lost(new_job(), LONGEST_WAIT)


def test_looks_that_are_missing_prove_nothing() -> None:
    """After a gap it begins anew."""
    assert not looked([0, 5, 20]).is_lost(new_job(), LONGEST_WAIT)
    assert looked([0, 5, 20, 25, 30]).is_lost(new_job(), LONGEST_WAIT)


@pytest.mark.parametrize(("lease_ran_out", "lost"), [(-1, True), (0.2, False), (11, False)])
def test_a_lease_stands_for_a_running_job(lease_ran_out: float, lost: bool) -> None:  # noqa: FBT001  an expectation
    """Until ten minutes after it has run out."""
    assert looked([0, 5, 10.1]).is_lost(replace(running(lease_ran_out), created_at=NOW), LONGEST_WAIT) is lost


def test_an_ended_job_is_not_lost() -> None:
    """However it ended."""
    ended = [status for status in JobStatus if status.ended]
    assert not any(looked([0, 5, 10.1]).is_lost(new_job(status=status), LONGEST_WAIT) for status in ended)


def test_a_job_that_is_too_old_is_lost_whatever_its_queue_holds() -> None:
    """Its message cannot be there any more; others are."""
    busy = dict.fromkeys(Priority, 7)
    day = 24 * 60
    assert not looked([13.9 * day], busy).is_lost(new_job(), LONGEST_WAIT)
    assert looked([14.1 * day], busy).is_lost(new_job(), LONGEST_WAIT)
    assert not looked([14.1 * day], busy).is_lost(running(14.1 * day), LONGEST_WAIT)


@given(
    sent_seconds=st.integers(0, 40),
    first_look_minutes=st.integers(-10, 5),
    looks=st.lists(st.tuples(st.integers(1, 17), st.integers(0, 90), st.booleans()), min_size=1, max_size=20),
)
def test_no_job_is_lost_while_its_message_stands(
    sent_seconds: int, first_look_minutes: int, looks: list[tuple[int, int, bool]]
) -> None:
    """Whenever looks come, and though counts are up to a minute and a half old and every other one misses it."""
    sent = NOW + timedelta(seconds=sent_seconds)
    sweep = SweepState().after_count(NONE, NOW + first_look_minutes * MINUTE)
    missed = False
    for pause_minutes, late_seconds, misses in looks:
        at = sweep.counted_at + pause_minutes * MINUTE
        missed = misses and not missed
        counted = sent <= at - timedelta(seconds=late_seconds) and not missed
        sweep = sweep.after_count({**NONE, Priority.NORMAL: int(counted)}, at)
        assert not sweep.is_lost(new_job(), LONGEST_WAIT)


@given(
    messages=st.lists(st.integers(0, 1), max_size=20),
    jitter_seconds=st.lists(st.floats(-60, 60), min_size=24, max_size=24),
)
def test_every_lost_job_is_found(messages: list[int], jitter_seconds: list[float]) -> None:
    """Whatever was in its queue before: after four looks at an empty one it is told."""
    sweep = SweepState()
    for number, (count, jitter) in enumerate(zip([*messages, 0, 0, 0, 0], jitter_seconds, strict=False), start=3):
        at = NOW + number * 5 * MINUTE + timedelta(seconds=jitter)
        sweep = sweep.after_count({**NONE, Priority.NORMAL: count}, at)
    assert sweep.is_lost(new_job(), LONGEST_WAIT)
