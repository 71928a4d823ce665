"""Read the counts of jobs: one query, however many jobs there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from gateway.domain.job_counts import JobStatistics

if TYPE_CHECKING:
    from gateway.ports import Clock, JobCountStore


@dataclass(frozen=True, slots=True)
class RecentJobStatistics:
    """Statistics of the jobs that were accepted at `since` or later."""

    since: datetime
    statistics: JobStatistics


def get_job_statistics(job_counts: JobCountStore, clock: Clock, *, retention_days: int) -> RecentJobStatistics:
    """Sum up the days for which jobs are stored."""
    first_day = (clock.now() - timedelta(days=retention_days)).date()
    statistics = JobStatistics.of(job_counts.since(first_day).values())
    return RecentJobStatistics(datetime.combine(first_day, time.min, UTC), statistics)
