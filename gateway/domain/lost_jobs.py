"""When a job is lost: nothing stands for it any more that could bring it to its end.

A job that runs has a lease. One that waits, or is between two attempts, has a message: visible, hidden for a while,
or in the dead-letter queue. So a job without a lease is lost when its message is gone. Nobody can search a queue for
one message, but a queue that holds none does not hold this one:

    accepted ── message sent ──┬───────────┬───────────┬──▶
                              look        look        look      every five minutes
                               0           0           0        messages of its priority: none at any look
                               └──────── GRACE ────────┘        of the last ten minutes ─▶ lost

SQS's counts are about right, and late by a minute or so. That all of them stay at zero for several minutes is how AWS
says to tell that a queue is empty (SQS Developer Guide, "Confirming that a queue is empty"). GRACE is that, and covers
the seconds that lie between a job's record and its message.

In a queue that is never empty this shows nothing. There a job is lost when it is older than any message can be.
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
# What lies between two looks that are farther apart, nobody has seen. Less than GRACE, so that a job has been there at
# two looks before it is called lost.
LONGEST_GAP = timedelta(minutes=8)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """What the sweeper knows; kept from one run to the next."""

    version: int = 0  # how often it was written
    counted_at: datetime = _BEGINNING  # at the queues, the last time
    empty_since: Mapping[Priority, datetime] = field(default_factory=dict)  # no look found a message from then on
    ended_before: datetime = _BEGINNING  # every job that was accepted before this has ended
    unannounced: tuple[str, ...] = ()  # ids of jobs that a run was about to end: did it still say so?

    def after_count(self, messages: Mapping[Priority, int], now: datetime) -> Self:
        """Take in how many messages of each priority there are now."""
        known = self.empty_since if now - self.counted_at <= LONGEST_GAP else {}
        empty_since = {priority: known.get(priority, now) for priority, count in messages.items() if count == 0}
        return replace(self, counted_at=now, empty_since=empty_since)

    def accepted_before(self, priority: Priority, longest_wait: timedelta) -> datetime:
        """Say since when a job of this priority has to be there so that, without a lease, it is lost."""
        empty_since = self.empty_since.get(priority)
        if empty_since is not None and self.counted_at - empty_since >= GRACE:
            return self.counted_at - GRACE
        return self.counted_at - longest_wait

    def is_lost(self, job: Job, longest_wait: timedelta) -> bool:
        """Tell whether nothing stands for the job, as far as its record says; only a conditional write is sure."""
        if job.status.ended or job.created_at >= self.accepted_before(job.priority, longest_wait):
            return False
        return job.status is JobStatus.QUEUED or (
            job.lease_expires_at is not None and job.lease_expires_at <= self.leases_expired_before
        )

    @property
    def leases_expired_before(self) -> datetime:
        """When the lease of a lost job had run out by."""
        return self.counted_at - GRACE
