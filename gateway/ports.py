"""The ports: protocols of all stores, queues and clocks.

`gateway.aws` implements them for production, `testing` in memory. `tests/ports` tests both implementations.
"""

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
    """The current time, and waiting."""

    def now(self) -> datetime:
        """Return the current time, aware and in UTC, to the millisecond."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for deadlines and durations."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class JobStore(Protocol):
    """The records of jobs. Every write is conditional; a failed condition is an error, never an overwrite."""

    def create(self, job: Job) -> Job:
        """Store a new job. If its id is taken, return the stored job instead, unchanged."""

    def get(self, job_id: str) -> Job | None:
        """Read a job, or None."""

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt: of a queued job, or of a running one whose lease has expired.

        Returns the job with its attempt number one higher. Raises JobNotClaimableError.
        """

    def renew(
        self, job: Job, *, lease_until: datetime, progress: int | None, log: Sequence[LogLine] | None = None
    ) -> Job:
        """Renew the lease, and store the progress and the log unless they are None.

        The returned job says whether a cancel was requested. Raises LeaseLostError.
        """

    def release(self, job: Job, log: Sequence[LogLine] = (), *, count_attempt: bool = True) -> None:
        """End the attempt without ending the job: its lease expires now. Raises LeaseLostError.

        `count_attempt`: whether the attempt counts against the job.
        """

    def finish(self, job: Job, end: JobEnd) -> Job:
        """Write the terminal status. Raises LeaseLostError."""

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """Cancel a job without a live lease; request it of the attempt that holds any other job.

        Returns the job as it is then. Raises StateConflictError when it has already ended, or does not exist.
        """

    def fail_if_unleased(
        self, job_id: str, failure: JobFailure, *, now: datetime, leases_expired_before: datetime
    ) -> Job:
        """Fail a queued job, or a running one whose lease expired before or at `leases_expired_before`.

        Returns the ended job. Raises JobNotClaimableError with the stored job.
        """


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of a list, newest first. `next_page_position`: after which the next page starts; None at the end."""

    jobs: Sequence[Job]
    next_page_position: PagePosition | None


class JobList(Protocol):
    """Lists of jobs. The cost of a page does not depend on the number of jobs."""

    def page(self, which: JobFilter, *, limit: int, position: PagePosition | None) -> JobPage:
        """Read the page after a position.

        With a filter that few jobs match, a page can be short or empty although there are further pages.
        """

    def accepted(self, since: datetime, before: datetime) -> Iterator[Job]:
        """Read all owners' jobs that were accepted in this period, oldest first. Reads lazily."""


class WorkflowStore(Protocol):
    """Workflows: a small head that changes with each version, and templates that never change once written.

    Each change and its entry in the audit log are one atomic write.
    """

    def create(
        self, workflow_id: str, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store a new workflow as version 1. Raises StateConflictError when its id is taken."""

    def update(
        self, head: WorkflowHead, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store the version after `head`. Raises StateConflictError when `head` is no longer the newest version."""

    def delete(self, head: WorkflowHead, by: Authorship) -> None:
        """Delete a workflow. Raises StateConflictError when `head` is no longer the newest version.

        Its template is retained as long as the jobs that were accepted with it.
        """

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read the template of one version, by the key in its head."""

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads, by id."""


class AuditLog(Protocol):
    """The log of what admins did."""

    def record(self, entry: AuditEntry) -> None:
        """Write an entry for an action that changes nothing in the table."""

    def newest(self, limit: int, *, before: PagePosition | None) -> Sequence[AuditEntry]:
        """Read up to `limit` entries, newest first, that are before a position if one is given."""


class ApiKeyStore(Protocol):
    """Records of API keys by their hash."""

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key's record, or None."""

    def put(self, key: ApiKey) -> None:
        """Write a key's record in place of the one with the same hash."""

    def delete(self, sha256: str) -> None:
        """Delete a key's record, if there is one."""


class ApiKeyAdmin(Protocol):
    """API keys for operators. Each change and its entry in the audit log are one atomic write."""

    def all(self) -> Sequence[ApiKey]:
        """Read all keys, oldest first, including revoked and expired ones."""

    def create(self, key: ApiKey, by: Authorship) -> None:
        """Store a new key."""

    def revoke(self, key: ApiKey, by: Authorship) -> None:
        """Disable a key; its record stays. Raises StateConflictError when it is already revoked."""


class RateLimitStore(Protocol):
    """Counts of requests."""

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more request of this subject in this window; return the count, including this one.

        The window is given by its start in epoch milliseconds; the count expires at `expires_at`, epoch seconds.
        """


class JobCountStore(Protocol):
    """Counts of jobs, by the day on which they were accepted."""

    def add(self, differences: Mapping[date, DailyJobCounts], *, batch_id: str) -> None:
        """Change the counts of several days, at most a hundred, atomically. Raises JobCountsConflictError.

        Nothing changes if the same batch id (at most 36 characters) was used within the last ten minutes.
        """

    def since(self, day: date) -> Mapping[date, DailyJobCounts]:
        """Read the counts of this day and of later ones; days without counts are left out."""


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
    """A received job message; no other receiver gets it until its visibility timeout."""

    message: JobMessage
    receipt_handle: str
    receive_count: int


class JobQueue(Protocol):
    """One queue per priority, with at-least-once delivery."""

    def send(self, message: JobMessage, *, group: str) -> None:
        """Enqueue. `group` is the owner: a backlog of one group does not delay the others."""

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Receive the next message; wait up to `wait_seconds` for one."""

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Hide the message from other receivers for so many seconds from now; 0 makes it visible at once."""

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge."""

    def waiting(self) -> int:
        """Return the approximate number of visible messages in all queues; it is a little late."""


class QueueDepth(Protocol):
    """Counts of messages."""

    def messages(self, priority: Priority) -> int:
        """Return the number of messages of a priority, including received ones and dead letters.

        It is approximate, and up to a minute or so late.
        """


class SweepStore(Protocol):
    """The state of the sweeper between its runs."""

    def read(self) -> SweepState:
        """Read the state of the last run; a new one before the first run."""

    def write(self, sweep: SweepState) -> SweepState | None:
        """Write the state of this run, and return it as written; None when another run wrote since it was read."""


class DeliveryStore(Protocol):
    """Webhook deliveries. Every write is conditional."""

    def begin(self, job_id: str, *, now: datetime, last: bool) -> Job:
        """Begin an attempt; return the job as it was before.

        The `last` attempt is stored as failed until it is recorded, in case it never is. Raises DeliveryNotDueError.
        """

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Write how the latest attempt ended. Raises LeaseLostError when a later attempt has begun.

        A delivery that was reopened during the attempt stays pending; only its log is written.
        """

    def reopen(self, job_id: str) -> None:
        """Make a delivery pending, whatever it was. Raises StateConflictError when the job has no delivery."""


class WebhookQueue(Protocol):
    """The queue of deliveries that are due, with at-least-once delivery."""

    def send(self, event: JobEndedEvent) -> None:
        """Enqueue a delivery again."""

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for so many seconds from now."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Size in bytes and SHA-256 in hex of a stored object."""

    size: int
    sha256: str


class ObjectStore(Protocol):
    """Files: outputs, templates and large prompts."""

    def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Store a small object."""

    def put_stream(self, key: str, stream: BinaryIO, *, content_type: str, disposition: str) -> StoredObject:
        """Store an object of any size while reading it, in constant memory. Raises ObjectRefusedError."""

    def get(self, key: str) -> bytes:
        """Read a whole object. Raises KeyError when there is none."""

    def exists(self, key: str) -> bool:
        """Return whether there is an object with this key."""

    def expire(self, key: str, *, content_type: str) -> None:
        """Mark an object that no new job will need for removal after the retention time, counted from now."""

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Return a URL that reads the object with a plain GET for so many seconds."""


class DownloadUrls(Protocol):
    """URLs that read one stored file without a key, for a while."""

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Return a URL that reads the object with a plain GET for so many seconds."""


class ResultCache(Protocol):
    """Cached results of jobs."""

    def put(self, key: str, result: CachedResult, *, expires_at: datetime) -> None:
        """Write a result in place of an older one."""

    def find(self, key: str, *, now: datetime) -> CachedResult | None:
        """Read a result that has not expired, or None."""

    def find_with_head(
        self, key: str, workflow_id: str, *, now: datetime
    ) -> tuple[WorkflowHead | None, CachedResult | None]:
        """Read a result and, in the same call, the head of its workflow."""


class EventBus(Protocol):
    """The bus for "job ended" events."""

    def publish(self, event: JobEndedEvent) -> None:
        """Publish an event. Publishing it again with the same event id is harmless."""
