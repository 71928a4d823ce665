"""A job: one requested run, from acceptance to its terminal status.

    queued ──claim──▶ running ──finish──▶ succeeded | failed | canceled

An ended job never changes. While it is running, exactly one attempt holds its lease. Every write of an attempt is
conditional on the attempt's number, so a stale attempt can write nothing.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from gateway.domain.delivery import NOT_ATTEMPTED, Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.errors import JobFailedError

# Never changes: job ids derived from idempotency keys, and event ids derived from jobs, depend on it.
_NAMESPACE = uuid.UUID("6d4ac9f4-5b1e-4c1e-9f8a-0a4b7a2f5c11")
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class JobStatus(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether this is a terminal status."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED)


class Priority(StrEnum):
    """The queue that a job waits in. Executors receive high before normal before low."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file that a job produced, in the output bucket."""

    filename: str  # unique within the job
    key: str  # of the object in the bucket
    size: int  # bytes
    sha256: str  # of the stored bytes, hex
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    """Why a job failed, for its owner."""

    code: str
    message: str
    retryable: bool
    recommendation: str | None = None

    @classmethod
    def of(cls, error: JobFailedError) -> Self:
        """Return the record of an error."""
        return cls(
            code=error.code, message=error.message, retryable=error.retryable, recommendation=error.recommendation
        )


class LogLevel(StrEnum):
    """The severity of a line of a job's log."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a job's log."""

    at: datetime
    level: LogLevel
    message: str
    node: str | None = None  # id of the graph's node, if the line is about one


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of a job. Times are UTC."""

    id: str
    owner: str  # the caller that may see it
    workflow_id: str
    workflow_version: int  # at acceptance
    template_key: str  # of that version's template
    status: JobStatus = JobStatus.QUEUED
    priority: Priority = Priority.NORMAL
    private: bool = False  # its inputs are stored only in its message, and never logged or returned
    inputs: Mapping[str, Any] | None  # as run: validated, with defaults and seed; None for a private job
    params: Mapping[str, Any] = field(default_factory=dict)  # as run; empty for a private job
    seed: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # from the caller, returned unchanged
    request_hash: str | None = None  # SHA-256 of the request, in hex; set when it had an idempotency key
    correlation_id: str
    cache_key: str | None = None  # for its result in the cache; None when it is not cached, or the job has ended
    cache_hit: bool = False  # its outputs are those of an earlier job
    created_at: datetime
    attempt: int = 0  # number of the latest attempt; the fencing number of its writes
    uncounted_attempts: int = 0  # attempts that do not count against the job, such as when an executor was stopped
    lease_owner: str | None = None  # executor id of the latest attempt
    lease_expires_at: datetime | None = None
    progress: int | None = None  # percent
    cancel_requested: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    execution_ms: int | None = None  # of ComfyUI, without waiting
    outputs: tuple[Output, ...] | None = None
    error: JobFailure | None = None
    log: tuple[LogLine, ...] = ()  # written by executors
    callback_url: str | None = None  # of its webhook; may contain a token, so it is never logged
    delivery: Delivery = NOT_ATTEMPTED  # of its webhook; the one part of an ended job that still changes

    @property
    def counted_attempts(self) -> int:
        """The number of attempts that count against the job."""
        return self.attempt - self.uncounted_attempts

    def output(self, filename: str) -> Output | None:
        """Return the output with this name, or None."""
        return next((output for output in self.outputs or () if output.filename == filename), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The content of the one terminal write, by the attempt that ends its job."""

    status: JobStatus
    completed_at: datetime
    execution_ms: int | None = None
    outputs: tuple[Output, ...] | None = None
    error: JobFailure | None = None
    log: tuple[LogLine, ...] = ()


def new_job_id() -> str:
    """Return a new, unguessable id."""
    return str(uuid.uuid4())


def is_job_id(text: str) -> bool:
    """Return whether a text has the form of a job id. Any other text needs no read of the table."""
    return _JOB_ID.fullmatch(text) is not None


def idempotent_job_id(owner: str, key: str) -> str:
    """Derive the id of the job for an owner's idempotency key.

    The owner's length comes first, so that no other pair of owner and key gives the same text.
    """
    return str(uuid.uuid5(_NAMESPACE, f"job:{len(owner)}:{owner}:{key}"))


def prompt_id(job_id: str, attempt: int) -> str:
    """Derive the prompt id of an attempt on ComfyUI. Newer ComfyUI versions require a canonical UUID."""
    return str(uuid.uuid5(_NAMESPACE, f"prompt:{job_id}:{attempt}"))


def ended_event_id(job_id: str) -> str:
    """Derive the id of a job's "job ended" event: the same each time it is published."""
    return str(uuid.uuid5(_NAMESPACE, f"ended:{job_id}"))
