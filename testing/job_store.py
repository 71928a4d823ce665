"""Jobs in memory: the same conditional writes as on DynamoDB."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import LeaseLostError, StateConflictError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.domain.job import Job, JobEnd, JobFailure, LogLine

_LEASE_RELEASED = datetime(1970, 1, 1, tzinfo=UTC)


class InMemoryJobStore:
    """Implements the port `JobStore`. Thread-safe. Records never expire."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}

    def create(self, job: Job) -> Job:
        """Store a new job, or return the one that has its id."""
        with self._lock:
            return self._jobs.setdefault(job.id, job)

    def get(self, job_id: str) -> Job | None:
        """Read a job, or None."""
        return self._jobs.get(job_id)

    def all(self) -> Sequence[Job]:
        """Read all jobs, in no particular order. Not part of the port: other in-memory ports and tests use it."""
        with self._lock:
            return list(self._jobs.values())

    def change(self, job_id: str, change: Callable[[Job | None], Job]) -> Job:
        """Replace a job by what `change` makes of it, as one atomic write. `change` raises to refuse the write.

        Not part of the port: the in-memory DeliveryStore writes to the same records.
        """
        with self._lock:
            changed = change(self._jobs.get(job_id))
            self._jobs[job_id] = changed
            return changed

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt. Raises JobNotClaimableError with the stored job."""

        def claimed(job: Job | None) -> Job:
            if job is None or not _is_unleased(job, leases_expired_before=now):
                raise JobNotClaimableError(job)
            return replace(
                job,
                status=JobStatus.RUNNING,
                attempt=job.attempt + 1,
                lease_owner=executor_id,
                lease_expires_at=lease_until,
                started_at=job.started_at or now,
                progress=None,
            )

        return self.change(job_id, claimed)

    def renew(
        self, job: Job, *, lease_until: datetime, progress: int | None, log: Sequence[LogLine] | None = None
    ) -> Job:
        """Renew the lease, record the progress and, unless it is empty, the log. Raises LeaseLostError."""

        def renewed(stored: Job) -> Job:
            return replace(
                stored,
                lease_expires_at=lease_until,
                progress=stored.progress if progress is None else progress,
                log=tuple(log) if log else stored.log,
            )

        return self._change_as_attempt(job, renewed)

    def release(self, job: Job, log: Sequence[LogLine] = (), *, count_attempt: bool = True) -> None:
        """End the attempt without ending the job. Raises LeaseLostError."""

        def released(stored: Job) -> Job:
            return replace(
                stored,
                lease_expires_at=_LEASE_RELEASED,
                uncounted_attempts=stored.uncounted_attempts if count_attempt else job.uncounted_attempts + 1,
                log=tuple(log) or stored.log,
            )

        self._change_as_attempt(job, released)

    def finish(self, job: Job, end: JobEnd) -> Job:
        """Write the terminal status. Raises LeaseLostError."""

        def finished(stored: Job) -> Job:
            return replace(
                _without_lease(stored),
                status=end.status,
                completed_at=end.completed_at,
                execution_ms=end.execution_ms,
                outputs=end.outputs,
                error=end.error,
                log=end.log or stored.log,
                progress=100 if end.status is JobStatus.SUCCEEDED else stored.progress,
                cache_key=None,
            )

        return self._change_as_attempt(job, finished)

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """Cancel a job without a live lease, or request it of the attempt that holds it. Raises StateConflictError."""

        def canceled(job: Job | None) -> Job:
            if job is None or job.status.ended:
                raise StateConflictError("The job has already ended.")
            if _is_unleased(job, leases_expired_before=now):
                return replace(_without_lease(job), status=JobStatus.CANCELED, completed_at=now)
            return replace(job, cancel_requested=True)

        return self.change(job_id, canceled)

    def fail_if_unleased(
        self, job_id: str, failure: JobFailure, *, now: datetime, leases_expired_before: datetime
    ) -> Job:
        """Fail a job without a live lease. Raises JobNotClaimableError with the stored job."""

        def failed(job: Job | None) -> Job:
            if job is None or not _is_unleased(job, leases_expired_before=leases_expired_before):
                raise JobNotClaimableError(job)
            return replace(_without_lease(job), status=JobStatus.FAILED, completed_at=now, error=failure)

        return self.change(job_id, failed)

    def _change_as_attempt(self, job: Job, change: Callable[[Job], Job]) -> Job:
        def changed(stored: Job | None) -> Job:
            if stored is None or stored.status is not JobStatus.RUNNING or stored.attempt != job.attempt:
                raise LeaseLostError
            return change(stored)

        return self.change(job.id, changed)


def _is_unleased(job: Job, *, leases_expired_before: datetime) -> bool:
    """Return whether no attempt holds the job: it is queued, or its lease expired by then."""
    if job.status is JobStatus.RUNNING:
        return job.lease_expires_at is not None and job.lease_expires_at <= leases_expired_before
    return job.status is JobStatus.QUEUED


def _without_lease(job: Job) -> Job:
    return replace(job, lease_owner=None, lease_expires_at=None)
