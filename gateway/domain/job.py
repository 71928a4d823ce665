"""A job: one requested run, from acceptance to its one end.

    queued ──claim──▶ running ──finish──▶ succeeded | failed | canceled

An ended job never changes. While it runs, exactly one attempt holds its lease; every write of that
attempt names its number, so a stale attempt can write nothing.
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

# Fixed for ever: job ids made from idempotency keys and event ids made from jobs depend on it.
_NAMESPACE = uuid.UUID("6d4ac9f4-5b1e-4c1e-9f8a-0a4b7a2f5c11")
_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether this is one of the three ends."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED)


class Priority(StrEnum):
    """Which of the three queues a job waits in."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file that a job produced, as it lies in the output store."""

    filename: str  # unique within the job
    key: str  # where it lies in the store
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
        """Make what is recorded of an error."""
        return cls(
            code=error.code, message=error.message, retryable=error.retryable, recommendation=error.recommendation
        )


class LogLevel(StrEnum):
    """How much a line of a job's log matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One thing that happened to a job."""

    at: datetime
    level: LogLevel
    message: str
    node: str | None = None  # of the graph, where it happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of a job. Instants are UTC."""

    id: str
    owner: str  # who may see it
    workflow_id: str
    workflow_version: int  # that it was accepted with
    template_key: str  # of that version's template
    status: JobStatus = JobStatus.QUEUED
    priority: Priority = Priority.NORMAL
    private: bool = False  # what it was given is kept nowhere but in its message, and told to nobody
    inputs: Mapping[str, Any] | None  # as run: checked, defaults and seed filled in; None when it is private
    params: Mapping[str, Any] = field(default_factory=dict)  # as run, likewise; none when it is private
    seed: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the caller's own, handed back as it came
    request_hash: str | None = None  # SHA-256 of what was asked for, in hex, when it came with an idempotency key
    correlation_id: str
    cache_key: str | None = None  # under which its result is to be kept for equal jobs; none when it is not, or ended
    cache_hit: bool = False  # its outputs are another job's
    created_at: datetime
    attempt: int = 0  # number of the latest attempt; the fencing number of its writes
    uncounted_attempts: int = 0  # attempts that ended because their executor was stopped: not the fault of the job
    lease_owner: str | None = None  # executor of the latest attempt
    lease_expires_at: datetime | None = None
    progress: int | None = None  # percent
    cancel_requested: bool = False
    started_at: datetime | None = None
    completed_at: datetime | None = None
    execution_ms: int | None = None  # what ComfyUI needed, waiting excluded
    outputs: tuple[Output, ...] | None = None
    error: JobFailure | None = None
    log: tuple[LogLine, ...] = ()  # of what executors did with it
    callback_url: str | None = None  # where its end is told; may hold a token, so it is never logged
    delivery: Delivery = NOT_ATTEMPTED  # of that; the one part of an ended job that still changes

    @property
    def counted_attempts(self) -> int:
        """Number of attempts that count against the job."""
        return self.attempt - self.uncounted_attempts

    def output(self, filename: str) -> Output | None:
        """Find an output by its name; None when the job has no such output, whatever the name contains."""
        return next((output for output in self.outputs or () if output.filename == filename), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How an attempt ended its job: what the one terminal write says."""

    status: JobStatus
    completed_at: datetime
    execution_ms: int | None = None
    outputs: tuple[Output, ...] | None = None
    error: JobFailure | None = None
    log: tuple[LogLine, ...] = ()


def new_job_id() -> str:
    """Make an id that nobody can guess."""
    return str(uuid.uuid4())


def is_job_id(text: str) -> bool:
    """Tell whether a text can be a job's id at all. What cannot, need not be looked for."""
    return _JOB_ID.fullmatch(text) is not None


def idempotent_job_id(owner: str, key: str) -> str:
    """Derive the id of the one job that this owner's idempotency key stands for.

    The owner's length goes in front, so that no other split of the same characters meets it.
    """
    return str(uuid.uuid5(_NAMESPACE, f"job:{len(owner)}:{owner}:{key}"))


def prompt_id(job_id: str, attempt: int) -> str:
    """Derive the id under which ComfyUI knows this attempt (a canonical UUID, as newer servers insist)."""
    return str(uuid.uuid5(_NAMESPACE, f"prompt:{job_id}:{attempt}"))


def ended_event_id(job_id: str) -> str:
    """Derive the id of the event that announces a job's end: the same however often it is published."""
    return str(uuid.uuid5(_NAMESPACE, f"ended:{job_id}"))
