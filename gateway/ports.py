"""What the gateway needs of the world, as protocols. `gateway.aws` is the one implementation for production."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from gateway.domain.audit import AuditEntry, Authorship
    from gateway.domain.delivery import Delivery
    from gateway.domain.executor import Heartbeat
    from gateway.domain.job import Job, JobEnd, JobFailure, LogLine, Priority
    from gateway.domain.job_counts import DailyJobCounts
    from gateway.domain.job_filter import JobFilter
    from gateway.domain.lost_jobs import SweepState
    from gateway.domain.messages import JobEndedEvent, JobMessage
    from gateway.domain.model_files import ModelFolder
    from gateway.domain.page_position import PagePosition
    from gateway.domain.principal import ApiKey
    from gateway.domain.result_cache import CachedResult
    from gateway.domain.workflow import WorkflowHead, WorkflowTemplate


class Clock(Protocol):
    """Time, as far as code waits for it or writes it down."""

    def now(self) -> datetime:
        """Return the current time, aware and in UTC, to the millisecond."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines and durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class JobStore(Protocol):
    """The records of jobs. Every write is conditional; a lost condition is an error, never an overwrite."""

    def create(self, job: Job) -> Job:
        """Put a new job. When its id is taken, return the job that has it instead, unchanged."""

    def get(self, job_id: str) -> Job | None:
        """Read a job, or None."""

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt: allowed for a queued job and for a running one whose lease has run out.

        Returns the job with its attempt one higher. Raises JobNotClaimableError.
        """

    def renew(
        self, job: Job, *, lease_until: datetime, progress: int | None, log: Sequence[LogLine] | None = None
    ) -> Job:
        """Prolong the lease, record the progress, and the log unless it is None.

        The answer says whether a cancel was requested.

        Raises LeaseLostError.
        """

    def release(self, job: Job, log: Sequence[LogLine] = (), *, count_attempt: bool = True) -> None:
        """End the attempt without ending the job: its lease runs out now. Raises LeaseLostError.

        `count_attempt`: whether the attempt counts against the job.
        """

    def finish(self, job: Job, end: JobEnd) -> Job:
        """Write the one terminal state. Raises LeaseLostError."""

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """End a job that no attempt holds; ask the attempt that holds a running one to stop.

        Returns the job as it is then. Raises StateConflictError when it has ended.
        """

    def fail_if_unleased(
        self, job_id: str, failure: JobFailure, *, now: datetime, leases_expired_before: datetime
    ) -> Job:
        """Fail a job that waits, or whose attempt's lease had run out by `leases_expired_before`.

        Returns the ended job. Raises JobNotClaimableError with what is stored.
        """


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list, newest first. `next_page_position`: where the next one begins; None at the end."""

    jobs: Sequence[Job]
    next_page_position: PagePosition | None


class JobList(Protocol):
    """Lists of jobs. What a page costs does not depend on how many jobs there are."""

    def page(self, which: JobFilter, *, limit: int, position: PagePosition | None) -> JobPage:
        """Read a page that begins at a position.

        A filter that few jobs pass can leave a page short, or empty, and yet not be at the end.
        """

    def accepted(self, since: datetime, before: datetime) -> Iterator[Job]:
        """Read everybody's jobs that were accepted in this time, oldest first, no faster than they are taken."""


class WorkflowStore(Protocol):
    """Workflows: a small head that changes with each version, and templates that never change once written.

    Each change and its entry in the audit log are one write: neither is there without the other.
    """

    def create(
        self, workflow_id: str, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Put a new workflow, as its version 1. Raises StateConflictError when its id is taken."""

    def update(
        self, head: WorkflowHead, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Put the version after `head`. Raises StateConflictError when that is no longer the newest."""

    def delete(self, head: WorkflowHead, by: Authorship) -> None:
        """Forget a workflow. Raises StateConflictError when `head` is no longer the newest version.

        Its templates stay for as long as jobs that were accepted with them are kept.
        """

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read the template of one version, by the key in its head."""

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads, by id."""


class AuditLog(Protocol):
    """What admins did."""

    def record(self, entry: AuditEntry) -> None:
        """Write an entry on its own, for what changes nothing in the table."""

    def newest(self, limit: int, *, before: PagePosition | None) -> Sequence[AuditEntry]:
        """Read so many entries, newest first: all in all, or those before a position."""


class ApiKeyStore(Protocol):
    """API keys, by their hash."""

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key's record, or None."""

    def put(self, key: ApiKey) -> None:
        """Write a key's record, in place of the one with the same hash."""

    def delete(self, sha256: str) -> None:
        """Forget a key; nothing happens when there is none."""


class ApiKeyAdmin(Protocol):
    """API keys as an operator deals with them. Each change and its entry in the audit log are one write."""

    def all(self) -> Sequence[ApiKey]:
        """Read all keys, the oldest first, those included that open nothing any more."""

    def create(self, key: ApiKey, by: Authorship) -> None:
        """Put a new key."""

    def revoke(self, key: ApiKey, by: Authorship) -> None:
        """Let a key open nothing any more; its record stays. Raises StateConflictError when it was revoked before."""


class RateLimitStore(Protocol):
    """Counts of requests."""

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more request of this subject in this window; return how many there are, this one included.

        The window is named by its start in epoch milliseconds; the count is forgotten at `expires_at`, epoch seconds.
        """


class JobCountStore(Protocol):
    """Counts of jobs, by the day on which they were accepted."""

    def add(self, differences: Mapping[date, DailyJobCounts], *, batch_id: str) -> None:
        """Change the counts of several days: all of them, or none. Raises JobCountsConflictError.

        With an id (36 characters at most) that was there within ten minutes before, nothing is changed.
        """

    def since(self, day: date) -> Mapping[date, DailyJobCounts]:
        """Read the counts of this day and of those after it; days without any are left out."""


class ExecutorStore(Protocol):
    """Heartbeats and model lists of executors."""

    def put_heartbeat(self, heartbeat: Heartbeat, *, expires_at: datetime) -> None:
        """Write an executor's heartbeat in place of its last one."""

    def heartbeats(self, since: datetime) -> Sequence[Heartbeat]:
        """Read the heartbeats sent at `since` or later, by executor id."""

    def put_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Write the models of an executor's ComfyUI in place of its last ones."""

    def models(self) -> Mapping[str, Mapping[str, ModelFolder]]:
        """Read the models of all executors, including ones that are gone, by executor id and folder."""


@dataclass(frozen=True, slots=True)
class ReceivedJob:
    """A job message in this receiver's hands until its visibility runs out."""

    message: JobMessage
    receipt_handle: str
    receive_count: int


class JobQueue(Protocol):
    """One queue per priority, at-least-once."""

    def send(self, message: JobMessage, *, group: str) -> None:
        """Enqueue. `group` keeps one owner's backlog from holding up the others'."""

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Take the next message, waiting for one at most so long."""

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Keep the message from others for so many seconds from now; 0 gives it back at once."""

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge."""

    def waiting(self) -> int:
        """Count the messages that wait in all queues; about right, and a little late."""


class QueueDepth(Protocol):
    """How many messages there are."""

    def messages(self, priority: Priority) -> int:
        """Count the messages of a priority, those in somebody's hands and dead letters included.

        About right, and up to a minute or so late.
        """


class SweepStore(Protocol):
    """What the sweeper knows from one run to the next."""

    def read(self) -> SweepState:
        """Read what the last run knew; nothing before the first."""

    def write(self, sweep: SweepState) -> SweepState | None:
        """Write what this run knows, and return it as written; None when another run has written meanwhile."""


class DeliveryStore(Protocol):
    """Deliveries of jobs' ends. Every write is conditional."""

    def begin(self, job_id: str, *, now: datetime, last: bool) -> Job:
        """Begin an attempt; return the job as it was before, with the delivery as the last attempt left it.

        The `last` one is written as failed until it is recorded, in case it never is. Raises DeliveryNotDueError.
        """

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Write how the attempt ended that began last. Raises LeaseLostError when another has begun since.

        When the delivery was reopened meanwhile, it stays pending, and only the log is written.
        """

    def reopen(self, job_id: str) -> None:
        """Make a delivery pending, whatever it was. Raises StateConflictError when there is none to make."""


class WebhookQueue(Protocol):
    """Deliveries that are due, at-least-once."""

    def send(self, event: JobEndedEvent) -> None:
        """Enqueue a delivery once more."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Keep a received message from being received again for so many seconds from now."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What was stored: bytes and their SHA-256 in hex."""

    size: int
    sha256: str


class ObjectStore(Protocol):
    """Files: outputs, templates and large prompts."""

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store a small object."""

    def put_stream(self, key: str, stream: BinaryIO, *, content_type: str, disposition: str) -> StoredObject:
        """Store an object of any size while reading it; memory does not grow with it."""

    def get(self, key: str) -> bytes:
        """Read a whole object. Raises KeyError when there is none."""

    def exists(self, key: str) -> bool:
        """Tell whether an object is there."""

    def expire(self, key: str, *, content_type: str) -> None:
        """Let an object go that no new job will need: it stays for the retention time from now, then it is removed."""

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Make a URL that reads the object with a plain GET for so long."""


class ResultCache(Protocol):
    """Results that can be used again."""

    def put(self, key: str, result: CachedResult, *, expires_at: datetime) -> None:
        """Write a result in place of an older one."""

    def find(self, key: str, *, now: datetime) -> CachedResult | None:
        """Read a result, or None."""

    def find_with_head(
        self, key: str, workflow_id: str, *, now: datetime
    ) -> tuple[WorkflowHead | None, CachedResult | None]:
        """Read a result and, in the same call, the head of the workflow that it should be of."""


class EventBus(Protocol):
    """Where ends of jobs are announced."""

    def publish(self, event: JobEndedEvent) -> None:
        """Announce; again with the same event id is harmless."""
