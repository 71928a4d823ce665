"""Job counts: incremental updates, in any order, give the same result as counting all jobs."""

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


def job_histories() -> st.SearchStrategy[list[CountedJob | None]]:
    """Generate the record of a job after each write; None means that it was deleted."""
    accepted_at = st.datetimes(datetime(2026, 1, 30), datetime(2026, 2, 2), timezones=st.just(UTC))  # noqa: DTZ001  in UTC by timezones=
    waited, ran = st.timedeltas(timedelta(seconds=-60), timedelta(days=1)), st.none() | st.integers(0, 10**7)
    code = st.sampled_from(["COMFYUI_OOM", "EXECUTOR_LOST", "COMFYUI_TIMEOUT"])

    @st.composite
    def job_history(draw: st.DrawFn) -> list[CountedJob | None]:
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

    return job_history()


@given(st.lists(job_histories(), max_size=12), st.randoms())
def test_incremental_counts_equal_a_full_count(jobs: list[list[CountedJob | None]], shuffled: Random) -> None:
    """After every change, for every day, with changes of different jobs in any order."""
    changes = [list(zip([None, *records], records, strict=False)) for records in jobs]
    job_counts: dict[object, DailyJobCounts] = {}
    present: dict[int, CountedJob | None] = {}
    order = [number for number, records in enumerate(jobs) for _ in records]
    shuffled.shuffle(order)
    for number in order:
        before, after = changes[number].pop(0)
        change = JobChange(before, after)
        job_counts.setdefault(change.day, DailyJobCounts()).update(change.difference)
        # A job that has ended is still counted for its day after its record is deleted; any other job is not.
        present[number] = before if after is None and before and before.status.ended else after
        counted = [job for job in present.values() if job is not None]
        by_status = Counter(job.status for job in counted)
        assert all(counts[name] >= 0 for counts in job_counts.values() for name in counts)
        statistics = JobStatistics.of(job_counts.values())
        assert statistics.by_status == {status: by_status[status] for status in JobStatus}
        assert statistics.failed_by_code == Counter(job.error_code for job in counted if job.error_code)
        runs = [job.execution_ms for job in counted if job.execution_ms is not None]
        assert statistics.mean_run_ms == (round(sum(runs) / len(runs)) if runs else None)
        hits = sum(job.cache_hit for job in counted)
        assert statistics.cache_hit_rate == (hits / len(counted) if counted else None)
    for day, counts in job_counts.items():
        contributions = [job.contribution() for job in present.values() if job and job.created_at.date() == day]
        assert Counter(counts) == sum(contributions, Counter[str]())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (QUEUED, QUEUED),
        (RUNNING, RUNNING),  # a lease renewal, a cancel request, a second attempt
        (SUCCEEDED, SUCCEEDED),
        (SUCCEEDED, None),  # deleted after the retention period
        (FAILED, None),
    ],
)
def test_a_write_without_a_status_change_changes_no_count(before: CountedJob, after: CountedJob | None) -> None:
    """Nothing must be written for it."""
    assert not JobChange(before, after).difference
    assert not JobChange(before, after).ends


def test_a_job_counts_for_the_day_it_was_accepted() -> None:
    """Also when it ends, and when its record is deleted."""
    late = replace(QUEUED, created_at=datetime(2026, 1, 31, 23, 59, 59, 999000, UTC))
    ended = replace(late, status=JobStatus.CANCELED)
    assert {
        change.day.isoformat() for change in (JobChange(None, late), JobChange(late, ended), JobChange(late, None))
    } == {"2026-01-31"}


def test_a_start_before_acceptance_is_a_wait_of_zero() -> None:
    """Clocks of machines differ. A negative wait would shorten the mean wait of other jobs."""
    started = replace(RUNNING, started_at=NOW - timedelta(seconds=60))
    assert JobStatistics.of([started.contribution(), RUNNING.contribution()]).mean_wait_ms == 125


def test_without_jobs_there_are_no_means_or_rates() -> None:
    """Counts are 0; means and rates are None."""
    statistics = JobStatistics.of([])
    assert set(statistics.by_status.values()) == {0}
    assert (statistics.failed_by_code, statistics.mean_run_ms, statistics.mean_wait_ms, statistics.cache_hit_rate) == (
        {},
        None,
        None,
        None,
    )


def test_negative_counts_of_a_day_are_ignored() -> None:
    """Jobs accepted before counting was introduced are counted only when they end; they must not lower other days."""
    uncounted = JobChange(QUEUED, replace(QUEUED, status=JobStatus.CANCELED)).difference
    assert uncounted[JobStatus.QUEUED] == -1
    statistics = JobStatistics.of([uncounted, QUEUED.contribution()])
    assert (statistics.by_status[JobStatus.QUEUED], statistics.by_status[JobStatus.CANCELED]) == (1, 1)


def test_only_the_terminal_write_ends_a_job() -> None:
    """A job's end is counted once, by its terminal write; a cached result ends with its first write."""
    assert not JobChange(None, QUEUED).ends
    assert not JobChange(QUEUED, RUNNING).ends
    assert not JobChange(RUNNING, None).ends
    assert JobChange(RUNNING, FAILED).ends
    assert JobChange(None, replace(SUCCEEDED, cache_hit=True)).ends
