"""Lists of the jobs in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job_filter import JobFilter
from gateway.domain.page_position import PagePosition
from gateway.ports import JobPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gateway.domain.job import Job
    from testing.job_store import InMemoryJobStore


class InMemoryJobList:
    """Implements the port `JobList`. Unlike on DynamoDB, a filter never leaves a page short."""

    def __init__(self, jobs: InMemoryJobStore) -> None:
        self._jobs = jobs

    def page(self, which: JobFilter, *, limit: int, position: PagePosition | None) -> JobPage:
        """Read the page that starts after a position."""
        jobs = [
            job
            for job in sorted(self._jobs.all(), key=_position, reverse=True)
            if which.matches(job) and (position is None or _position(job) < position)
        ]
        page = jobs[:limit]
        return JobPage(page, _position(page[-1]) if len(jobs) > limit else None)

    def accepted(self, since: datetime, before: datetime) -> Iterator[Job]:
        """Read all owners' jobs that were accepted in this period, oldest first."""
        which = JobFilter(after=since, before=before)
        yield from (job for job in sorted(self._jobs.all(), key=_position) if which.matches(job))


def _position(job: Job) -> PagePosition:
    return PagePosition(job.created_at, job.id)
