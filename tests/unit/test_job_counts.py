"""Counts of jobs: whatever happens to jobs, in whatever order, the counts are what counting them would give."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.job import JobStatus
from gateway.domain.job_counts import CountedJob, DailyJobCounts, JobChange, JobStatistics

if TYPE_CHECKING:
    from random import Random

NOW = datetime(2026, 1, 31, 12, 0, 0, 123000, UTC)
QUEUED = CountedJob(id="j", correlation_id="c", status=JobStatus.QUEUED, created_at=NOW)
RUNNING = replace(QUEUED, status=JobStatus.RUNNING, started_at=NOW + timedelta(milliseconds=250))
SUCCEEDED = replace(RUNNING, status=JobStatus.SUCCEEDED, execution_ms=8000)
FAILED = replace(RUNNING, status=JobStatus.FAILED, error_code="COMFYUI_OOM")


def lives() -> st.SearchStrategy[list[CountedJob | None]]:
    """Make up what a job can go through: its record after each write, None when it is gone."""
    accepted_at = st.datetimes(datetime(2026, 1, 30), datetime(2026, 2, 2), timezones=st.just(UTC))  # noqa: DTZ001  UTC it is
    waited, ran = st.timedeltas(timedelta(seconds=-60), timedelta(days=1)), st.none() | st.integers(0, 10**7)
    code = st.sampled_from(["COMFYUI_OOM", "EXECUTOR_LOST", "COMFYUI_TIMEOUT"])

    @st.composite
    def life(draw: st.DrawFn) -> list[CountedJob | None]:
        job = replace(QUEUED, created_at=draw(accepted_at))
        if draw(st.booleans()):
            return [replace(job, status=JobStatus.SUCCEEDED, cache_hit=True)]
        records: list[CountedJob | None] = [job]
        if draw(st.booleans()):
            job = replace(job, status=JobStatus.RUNNING, started_at=job.created_at + draw(waited))
            records += [job] * draw(st.integers(1, 3))
        end = draw(st.sampled_from([None, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED]))
        if end is not None:
            error_code = draw(code) if end is JobStatus.FAILED else None
            execution_ms = draw(ran) if job.started_at else None
            records += [replace(job, status=end, error_code=error_code, execution_ms=execution_ms)]
        return [*records, *([None] if draw(st.booleans()) else [])]

    return life()


@given(st.lists(lives(), max_size=12), st.randoms())
def test_counts_are_what_counting_would_give(jobs: list[list[CountedJob | None]], shuffled: Random) -> None:
    """At every moment, for every day, though changes of different jobs come in any order."""
    changes = [list(zip([None, *records], records, strict=False)) for records in jobs]
    job_counts: dict[object, DailyJobCounts] = {}
    present: dict[int, CountedJob | None] = {}
    order = [number for number, records in enumerate(jobs) for _ in records]
    shuffled.shuffle(order)
    for number in order:
        before, after = changes[number].pop(0)
        change = JobChange(before, after)
        job_counts.setdefault(change.day, DailyJobCounts()).update(change.difference)
        # A job that has ended stays in the counts of its day when its record goes; any other one does not.
        present[number] = before if after is None and before and before.status.ended else after
        counted = [job for job in present.values() if job is not None]
        by_status = Counter(job.status for job in counted)
        assert all(tally[name] >= 0 for tally in job_counts.values() for name in tally)
        statistics = JobStatistics.of(job_counts.values())
        assert statistics.by_status == {status: by_status[status] for status in JobStatus}
        assert statistics.failed_by_code == Counter(job.error_code for job in counted if job.error_code)
        runs = [job.execution_ms for job in counted if job.execution_ms is not None]
        assert statistics.mean_run_ms == (round(sum(runs) / len(runs)) if runs else None)
        hits = sum(job.cache_hit for job in counted)
        assert statistics.cache_hit_rate == (hits / len(counted) if counted else None)
    for day, tally in job_counts.items():
        here = [job.contribution() for job in present.values() if job and job.created_at.date() == day]
        assert Counter(tally) == sum(here, Counter[str]())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (QUEUED, QUEUED),
        (RUNNING, RUNNING),  # a renewal, a request to cancel, a second attempt
        (SUCCEEDED, SUCCEEDED),
        (SUCCEEDED, None),  # it has been kept for as long as jobs are
        (FAILED, None),
    ],
)
def test_what_changes_no_status_changes_no_count(before: CountedJob, after: CountedJob | None) -> None:
    """So nothing need be written for it."""
    assert not JobChange(before, after).difference
    assert not JobChange(before, after).ends


def test_a_job_counts_under_the_day_of_its_acceptance() -> None:
    """Whenever it ends, and when its record goes."""
    late = replace(QUEUED, created_at=datetime(2026, 1, 31, 23, 59, 59, 999000, UTC))
    ended = replace(late, status=JobStatus.CANCELED)
    assert {
        change.day.isoformat() for change in (JobChange(None, late), JobChange(late, ended), JobChange(late, None))
    } == {"2026-01-31"}


def test_a_start_before_the_acceptance_is_no_wait() -> None:
    """The clocks of two machines differ; what an executor's clock says must not shorten what others waited."""
    started = replace(RUNNING, started_at=NOW - timedelta(seconds=60))
    assert JobStatistics.of([started.contribution(), RUNNING.contribution()]).mean_wait_ms == 125


def test_nothing_is_told_of_nothing() -> None:
    """No mean and no rate without a job to take it from."""
    nothing = JobStatistics.of([])
    assert set(nothing.by_status.values()) == {0}
    assert (nothing.failed_by_code, nothing.mean_run_ms, nothing.mean_wait_ms, nothing.cache_hit_rate) == (
        {},
        None,
        None,
        None,
    )


def test_a_day_never_lowers_the_counts_of_others() -> None:
    """When jobs were accepted before anything was counted, their ends alone are: they are not negative waiting jobs."""
    uncounted = JobChange(QUEUED, replace(QUEUED, status=JobStatus.CANCELED)).difference
    assert uncounted[JobStatus.QUEUED] == -1
    statistics = JobStatistics.of([uncounted, QUEUED.contribution()])
    assert (statistics.by_status[JobStatus.QUEUED], statistics.by_status[JobStatus.CANCELED]) == (1, 1)


def test_only_the_last_step_is_an_end() -> None:
    """An end is told once: by the write that brings it, a result from the cache included."""
    assert not JobChange(None, QUEUED).ends
    assert not JobChange(QUEUED, RUNNING).ends
    assert not JobChange(RUNNING, None).ends
    assert JobChange(RUNNING, FAILED).ends
    assert JobChange(None, replace(SUCCEEDED, cache_hit=True)).ends
