"""Counts of jobs that are kept up to date with every change of a job, so that nobody ever has to count jobs.

What a job adds to the counts depends on its state alone, not on how it came about. So a change of a job changes them
by what the job adds after it, less what it added before; and the sum of all changes is what counting would give.

Jobs count under the day on which they were accepted. So the counts of a day can be forgotten with its jobs, and should
a change ever be missed, that is forgotten with them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gateway.domain.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

# How many jobs there are of each status, by its name; and what the names below stand for.
DailyJobCounts = Counter[str]
CACHE_HITS = "cacheHits"
WAITS, WAIT_MS = "waits", "waitMs"  # jobs that were started; how long they had waited, all together
RUNS, RUN_MS = "runs", "runMs"  # jobs that ComfyUI ran; how long it took, all together
FAILED_WITH = "failed:"  # and an error code: jobs that failed with it


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedJob:
    """What of a job is counted, and what tells it in a log."""

    id: str
    correlation_id: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    execution_ms: int | None = None
    cache_hit: bool = False
    error_code: str | None = None

    def contribution(self) -> DailyJobCounts:
        """Tell what the job adds to the counts."""
        tally = DailyJobCounts({self.status: 1})
        if self.cache_hit:
            tally[CACHE_HITS] = 1
        if self.started_at is not None:
            tally[WAITS] = 1
            # Acceptance and start are told by two clocks.
            tally[WAIT_MS] = max(0, round((self.started_at - self.created_at).total_seconds() * 1000))
        if self.execution_ms is not None:
            tally[RUNS] = 1
            tally[RUN_MS] = self.execution_ms
        if self.error_code is not None:
            tally[FAILED_WITH + self.error_code] = 1
        return tally


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job before and after one write. Before is None for a new job, after when its record was removed."""

    before: CountedJob | None
    after: CountedJob | None

    @property
    def day(self) -> date:
        """The day under which the job counts."""
        job = self.after or self.before
        assert job is not None  # noqa: S101  a change is of something
        return job.created_at.date()

    @property
    def ends(self) -> bool:
        """Whether the job has its end by this."""
        return bool(self.after and self.after.status.ended and not (self.before and self.before.status.ended))

    @property
    def difference(self) -> DailyJobCounts:
        """By how much the counts change; empty when they don't.

        A job that has ended stays counted when its record is removed, until its day is forgotten. One that had no end
        does not: it would look as if it were still waiting or running.
        """
        if self.before and self.after is None and self.before.status.ended:
            return DailyJobCounts()
        difference = DailyJobCounts() if self.after is None else self.after.contribution()
        difference.subtract(DailyJobCounts() if self.before is None else self.before.contribution())
        return DailyJobCounts({name: count for name, count in difference.items() if count})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatistics:
    """What counts say. Means are in milliseconds; they and the rate are None where there is nothing to go by."""

    by_status: Mapping[JobStatus, int]
    failed_by_code: Mapping[str, int]
    mean_wait_ms: int | None
    mean_run_ms: int | None
    cache_hit_rate: float | None  # of all jobs

    @classmethod
    def of(cls, job_counts: Iterable[DailyJobCounts]) -> Self:
        """Sum up the counts of several days.

        Jobs that were accepted before anything was counted can bring counts of their day below zero: these say 0.
        """
        total = DailyJobCounts()
        for tally in job_counts:
            total.update(+tally)
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
