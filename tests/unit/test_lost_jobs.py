"""Detection of lost jobs: never while a job has a message or a lease, and always soon after it has neither."""

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


def counted(minutes: Sequence[float], messages: dict[Priority, int] | None = None) -> SweepState:
    """Count messages at these minutes after NOW, with the same result each time."""
    sweep = SweepState()
    for at in minutes:
        sweep = sweep.after_count(messages or NONE, NOW + at * MINUTE)
    return sweep


def running(lease_expires_after: float) -> Job:
    """Make a running job whose lease expires so many minutes after NOW."""
    return new_job(status=JobStatus.RUNNING, attempt=1, lease_expires_at=NOW + lease_expires_after * MINUTE)


def test_the_schedule_is_frequent_enough() -> None:
    """A count may be late by half an interval, and two counts are within the grace period of a job."""
    (every,) = [schedule.every_minutes * MINUTE for schedule in SCHEDULES if schedule.function is SWEEPER]
    assert every * 1.5 <= LONGEST_GAP < GRACE
    assert timedelta(seconds=SWEEPER.timeout_seconds) < every


def test_a_job_is_lost_when_its_queues_stay_empty() -> None:
    """For more than ten minutes after it was accepted."""
    assert not counted([0, 5, 9.9]).is_lost(new_job(), LONGEST_WAIT)
    assert counted([0, 5, 10.1]).is_lost(new_job(), LONGEST_WAIT)


def test_counts_from_before_the_job_are_ignored() -> None:
    """A queue that was empty before a job was accepted proves nothing about it."""
    assert not counted([-20, -15, -10, -5, 0, 5]).is_lost(new_job(), LONGEST_WAIT)


def test_one_message_keeps_all_jobs_of_its_priority() -> None:
    """It can be the message of any of them. The other priorities have separate queues."""
    sweep = counted([0, 5]).after_count({**NONE, Priority.NORMAL: 1}, NOW + 11 * MINUTE)
    assert not sweep.is_lost(new_job(), LONGEST_WAIT)
    assert sweep.is_lost(new_job(priority=Priority.LOW), LONGEST_WAIT)
    again = sweep.after_count(NONE, NOW + 16 * MINUTE).after_count(NONE, NOW + 21 * MINUTE)
    assert not again.is_lost(new_job(), LONGEST_WAIT)
    assert again.after_count(NONE, NOW + 26.1 * MINUTE).is_lost(new_job(), LONGEST_WAIT)


def test_a_gap_between_counts_restarts_the_period() -> None:
    """Only counts after the gap are considered."""
    assert not counted([0, 5, 20]).is_lost(new_job(), LONGEST_WAIT)
    assert counted([0, 5, 20, 25, 30]).is_lost(new_job(), LONGEST_WAIT)


@pytest.mark.parametrize(("lease_expires_after", "lost"), [(-1, True), (0.2, False), (11, False)])
def test_a_running_job_is_not_lost_before_its_lease_expires(lease_expires_after: float, lost: bool) -> None:  # noqa: FBT001  the expected result
    """It is lost ten minutes after the lease has expired."""
    assert counted([0, 5, 10.1]).is_lost(replace(running(lease_expires_after), created_at=NOW), LONGEST_WAIT) is lost


def test_an_ended_job_is_not_lost() -> None:
    """Whatever its terminal status is."""
    ended = [status for status in JobStatus if status.ended]
    assert not any(counted([0, 5, 10.1]).is_lost(new_job(status=status), LONGEST_WAIT) for status in ended)


def test_a_job_older_than_the_queue_retention_is_lost() -> None:
    """Its message has expired, even if the queue has others. A running job with a lease is not lost."""
    busy = dict.fromkeys(Priority, 7)
    day = 24 * 60
    assert not counted([13.9 * day], busy).is_lost(new_job(), LONGEST_WAIT)
    assert counted([14.1 * day], busy).is_lost(new_job(), LONGEST_WAIT)
    assert not counted([14.1 * day], busy).is_lost(running(14.1 * day), LONGEST_WAIT)


@given(
    sent_seconds=st.integers(0, 40),
    first_count_minutes=st.integers(-10, 5),
    counts=st.lists(st.tuples(st.integers(1, 17), st.integers(0, 90), st.booleans()), min_size=1, max_size=20),
)
def test_no_job_is_lost_while_its_message_exists(
    sent_seconds: int, first_count_minutes: int, counts: list[tuple[int, int, bool]]
) -> None:
    """Even if counts are up to 90 seconds old, irregular, and miss the message every other time."""
    sent = NOW + timedelta(seconds=sent_seconds)
    sweep = SweepState().after_count(NONE, NOW + first_count_minutes * MINUTE)
    missed = False
    for delay_minutes, late_seconds, misses in counts:
        at = sweep.counted_at + delay_minutes * MINUTE
        missed = misses and not missed
        is_counted = sent <= at - timedelta(seconds=late_seconds) and not missed
        sweep = sweep.after_count({**NONE, Priority.NORMAL: int(is_counted)}, at)
        assert not sweep.is_lost(new_job(), LONGEST_WAIT)


@given(
    messages=st.lists(st.integers(0, 1), max_size=20),
    jitter_seconds=st.lists(st.floats(-60, 60), min_size=24, max_size=24),
)
def test_every_lost_job_is_found(messages: list[int], jitter_seconds: list[float]) -> None:
    """After four counts of an empty queue, whatever the queue contained before."""
    sweep = SweepState()
    for number, (count, jitter) in enumerate(zip([*messages, 0, 0, 0, 0], jitter_seconds, strict=False), start=3):
        at = NOW + number * 5 * MINUTE + timedelta(seconds=jitter)
        sweep = sweep.after_count({**NONE, Priority.NORMAL: count}, at)
    assert sweep.is_lost(new_job(), LONGEST_WAIT)
