"""Webhook deliveries in memory, as part of the jobs' records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain.delivery import CLOCK_SKEW, DeliveryStatus
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import LeaseLostError, StateConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.domain.delivery import Delivery
    from gateway.domain.job import Job
    from testing.job_store import InMemoryJobStore


class InMemoryDeliveryStore:
    """Implements the port `DeliveryStore`. Thread-safe."""

    def __init__(self, jobs: InMemoryJobStore) -> None:
        self._jobs = jobs
        self._reopened: set[str] = set()  # ids of jobs whose delivery was reopened since its last attempt began

    def begin(self, job_id: str, *, now: datetime, last: bool) -> Job:
        """Begin an attempt; return the job as it was before. Raises DeliveryNotDueError with the stored job."""
        found: list[Job] = []

        def begun(job: Job | None) -> Job:
            if job is None or not _has_delivery(job) or not _is_due(job.delivery, now):
                raise DeliveryNotDueError(job)
            found.append(job)
            self._reopened.discard(job_id)
            delivery = replace(
                job.delivery,
                attempt_count=job.delivery.attempt_count + 1,
                held_since=now,
                status=DeliveryStatus.FAILED if last else job.delivery.status,
            )
            return replace(job, delivery=delivery)

        self._jobs.change(job_id, begun)
        return found[0]

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Write how the latest attempt ended. Raises LeaseLostError when a later one has begun.

        A delivery that was reopened during the attempt stays pending; only its log is written.
        """

        def recorded(job: Job | None) -> Job:
            if job is None or not _has_delivery(job) or job.delivery.attempt_count != delivery.attempt_count:
                raise LeaseLostError
            stored = replace(job.delivery, attempts=delivery.attempts, held_since=None)
            if job_id not in self._reopened:
                stored = replace(stored, status=delivery.status)
                if delivery.due_at is not None:
                    stored = replace(stored, due_at=delivery.due_at, message_id=delivery.message_id)
            return replace(job, delivery=stored)

        self._jobs.change(job_id, recorded)

    def reopen(self, job_id: str) -> None:
        """Make a delivery pending. Raises StateConflictError when the job has none."""

        def reopened(job: Job | None) -> Job:
            if job is None or not _has_delivery(job):
                raise StateConflictError("The job has not ended, or has no callbackUrl.")
            self._reopened.add(job_id)
            return replace(job, delivery=replace(job.delivery, status=DeliveryStatus.PENDING))

        self._jobs.change(job_id, reopened)


def _has_delivery(job: Job) -> bool:
    return job.status.ended and job.callback_url is not None


def _is_due(delivery: Delivery, now: datetime) -> bool:
    if delivery.status is DeliveryStatus.DELIVERED or delivery.is_held(now):
        return False
    waits = delivery.status is DeliveryStatus.RETRYING and delivery.due_at is not None
    return not (waits and delivery.due_at is not None and delivery.due_at > now + CLOCK_SKEW)
