"""A job is lost when it has neither a lease nor a message: nothing can end it any more.

A running job has a lease. A job that waits, or is between two attempts, has a message: visible, received, or in the
dead-letter queue. So a job without a lease is lost when its message is gone. SQS cannot search for one message, but an
empty queue does not hold it:

    accepted ── message sent ──┬───────────┬───────────┬──▶
                             count       count       count      every five minutes
                               0           0           0        messages of its priority: none in any count
                               └──────── GRACE ────────┘        of the last ten minutes ─▶ lost

SQS's counts are approximate, and up to a minute or so late. AWS says that a queue is empty when all its counts stay at
zero for several minutes (SQS Developer Guide, "Confirming that a queue is empty"). GRACE is such a time. It also covers
the seconds between storing a job and sending its message.

A queue that is never empty proves nothing. There, a job is lost when it is older than any message can be.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from gateway.domain.job import JobStatus, Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Job

GRACE = timedelta(minutes=10)
# Counts that are farther apart say nothing about the time between them. Less than GRACE, so that there are at least two
# counts after a job was accepted before it is lost.
LONGEST_GAP = timedelta(minutes=8)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """The state that the sweeper stores from one run to the next."""

    version: int = 0  # the number of writes
    counted_at: datetime = _BEGINNING  # when the messages were last counted
    empty_since: Mapping[Priority, datetime] = field(default_factory=dict)  # since when all counts were zero
    ended_before: datetime = _BEGINNING  # every job that was accepted before this has ended
    # Ids of the jobs that a run was going to end. It may have crashed before publishing their events.
    unannounced: tuple[str, ...] = ()

    def after_count(self, messages: Mapping[Priority, int], now: datetime) -> Self:
        """Add a count of the messages of each priority."""
        known = self.empty_since if now - self.counted_at <= LONGEST_GAP else {}
        empty_since = {priority: known.get(priority, now) for priority, count in messages.items() if count == 0}
        return replace(self, counted_at=now, empty_since=empty_since)

    def accepted_before(self, priority: Priority, longest_wait: timedelta) -> datetime:
        """Return the time of acceptance before which a job of this priority without a lease is lost."""
        empty_since = self.empty_since.get(priority)
        if empty_since is not None and self.counted_at - empty_since >= GRACE:
            return self.counted_at - GRACE
        return self.counted_at - longest_wait

    def is_lost(self, job: Job, longest_wait: timedelta) -> bool:
        """Return whether the job is lost according to its record as read; only a conditional write is certain."""
        if job.status.ended or job.created_at >= self.accepted_before(job.priority, longest_wait):
            return False
        return job.status is JobStatus.QUEUED or (
            job.lease_expires_at is not None and job.lease_expires_at <= self.leases_expired_before
        )

    @property
    def leases_expired_before(self) -> datetime:
        """The time before which the lease of a lost running job expired."""
        return self.counted_at - GRACE
