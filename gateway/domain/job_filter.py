"""Which jobs a list shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.domain.job import Job, JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Conditions on jobs. All that are not None must hold.

    A store may narrow its query by any of them; `matches` decides.
    """

    owner: str | None = None
    status: JobStatus | None = None
    workflow_id: str | None = None
    after: datetime | None = None  # accepted at this time or later
    before: datetime | None = None  # accepted before this time

    def matches(self, job: Job) -> bool:
        """Return whether a job meets all conditions."""
        return (
            self.owner in (None, job.owner)
            and self.status in (None, job.status)
            and self.workflow_id in (None, job.workflow_id)
            and (self.after is None or job.created_at >= self.after)
            and (self.before is None or job.created_at < self.before)
        )

    @property
    def is_selective(self) -> bool:
        """Whether jobs of the same owner and period can fail to match."""
        return self != JobFilter(owner=self.owner, after=self.after, before=self.before)
