"""Counts of jobs that are updated with every change of a job, so that no reader has to count jobs.

A job's contribution depends on its state alone, not on its history. So a change of a job changes the counts by its
contribution after the change, minus the one before. The sum of all changes equals what counting all jobs would give.

Jobs count for the day on which they were accepted. So the counts of a day expire together with its jobs, and with them
any change that was ever missed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gateway.domain.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

# The number of jobs by status, and the values named below.
DailyJobCounts = Counter[str]
CACHE_HITS = "cacheHits"
WAITS, WAIT_MS = "waits", "waitMs"  # jobs that were started; the sum of their waits
RUNS, RUN_MS = "runs", "runMs"  # jobs that ComfyUI ran; the sum of their run times
FAILED_WITH = "failed:"  # followed by an error code: jobs that failed with it


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedJob:
    """The fields of a job that are counted, and those that identify it in a log."""

    id: str
    correlation_id: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    execution_ms: int | None = None
    cache_hit: bool = False
    error_code: str | None = None

    def contribution(self) -> DailyJobCounts:
        """Return what the job adds to the counts."""
        counts = DailyJobCounts({self.status: 1})
        if self.cache_hit:
            counts[CACHE_HITS] = 1
        if self.started_at is not None:
            counts[WAITS] = 1
            # Acceptance and start are from two clocks.
            counts[WAIT_MS] = max(0, round((self.started_at - self.created_at).total_seconds() * 1000))
        if self.execution_ms is not None:
            counts[RUNS] = 1
            counts[RUN_MS] = self.execution_ms
        if self.error_code is not None:
            counts[FAILED_WITH + self.error_code] = 1
        return counts


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job before and after one write. `before` is None for a new job, `after` for one whose record was removed."""

    before: CountedJob | None
    after: CountedJob | None

    @property
    def day(self) -> date:
        """The day for which the job counts."""
        job = self.after or self.before
        assert job is not None  # noqa: S101  a change has at least one of them
        return job.created_at.date()

    @property
    def ends(self) -> bool:
        """Whether the job ended with this write."""
        return bool(self.after and self.after.status.ended and not (self.before and self.before.status.ended))

    @property
    def difference(self) -> DailyJobCounts:
        """The change of the counts; empty if there is none.

        An ended job stays counted when its record is removed, until the counts of its day expire. A job that had not
        ended does not: it would count as queued or running.
        """
        if self.before and self.after is None and self.before.status.ended:
            return DailyJobCounts()
        difference = DailyJobCounts() if self.after is None else self.after.contribution()
        difference.subtract(DailyJobCounts() if self.before is None else self.before.contribution())
        return DailyJobCounts({name: count for name, count in difference.items() if count})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatistics:
    """Statistics over several days. The means and the rate are None when there are no jobs to compute them from."""

    by_status: Mapping[JobStatus, int]
    failed_by_code: Mapping[str, int]
    mean_wait_ms: int | None
    mean_run_ms: int | None
    cache_hit_rate: float | None  # of all jobs

    @classmethod
    def of(cls, daily_counts: Iterable[DailyJobCounts]) -> Self:
        """Sum the counts of several days.

        Jobs accepted before counting began can make counts of their day negative; these count as 0.
        """
        total = DailyJobCounts()
        for counts in daily_counts:
            total.update(+counts)
        by_status = {status: total[status] for status in JobStatus}
        jobs = sum(by_status.values())
        return cls(
            by_status=by_status,
            failed_by_code={
                name.removeprefix(FAILED_WITH): total[name] for name in sorted(total) if name.startswith(FAILED_WITH)
            },
            mean_wait_ms=round(total[WAIT_MS] / total[WAITS]) if total[WAITS] else None,
            mean_run_ms=round(total[RUN_MS] / total[RUNS]) if total[RUNS] else None,
            cache_hit_rate=total[CACHE_HITS] / jobs if jobs else None,
        )
