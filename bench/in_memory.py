"""The ports that requests go through, in memory: what is left of a request's time is the handlers' own."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from functions.rate_limit import RateLimiter
from functions.wiring import Wiring
from gateway.domain import instant
from gateway.domain.identity import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.domain.executor import ExecutorReport
    from gateway.domain.job import Job
    from gateway.domain.messages import JobMessage

KEY = "key-of-ada"


class Jobs:
    """Jobs by id."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def create(self, job: Job) -> Job:
        """Keep a job, or return the one that has its id."""
        return self._jobs.setdefault(job.id, job)

    def get(self, job_id: str) -> Job | None:
        """Read a job, or None."""
        return self._jobs.get(job_id)


class Workflows:
    """Workflows by id."""

    def __init__(self) -> None:
        self._heads: dict[str, WorkflowHead] = {}
        self._templates: dict[str, WorkflowTemplate] = {}

    def add(self, workflow_id: str, template: WorkflowTemplate) -> None:
        """Keep a workflow."""
        now = instant.now()
        self._templates[workflow_id] = template
        self._heads[workflow_id] = WorkflowHead(
            id=workflow_id,
            name=workflow_id,
            description="",
            version=1,
            created_at=now,
            updated_at=now,
            template_key=workflow_id,
        )

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read a head, or None."""
        return self._heads.get(workflow_id)

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads."""
        return list(self._heads.values())

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read a template."""
        return self._templates[template_key]


class Queue:
    """Messages go nowhere, but are written down first, as for SQS."""

    def send(self, message: JobMessage, *, group: str) -> None:
        """Write a message down."""
        del group
        message.model_dump_json(by_alias=True, exclude_none=True)


class Executors:
    """None has reported."""

    def recent(self, since: datetime) -> Sequence[ExecutorReport]:
        """Read no reports."""
        del since
        return ()


class Rates:
    """One counter for everybody."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count; never so high that a request is refused."""
        del subject, window_starts_at_ms, expires_at
        self._count = (self._count + 1) % 10
        return self._count + 1


class Keys:
    """One key, a user's."""

    def get(self, sha256: str) -> ApiKey | None:
        """Read its record."""
        if sha256 != hash_key(KEY):
            return None
        return ApiKey(sha256=sha256, name="ada", owner="ada", role=Role.USER, created_at=instant.now())


class InMemoryWiring(Wiring):
    """A deployment without AWS."""

    jobs = cached_property(lambda _: Jobs())
    workflows = cached_property(lambda _: Workflows())
    queue = cached_property(lambda _: Queue())
    executors = cached_property(lambda _: Executors())
    _keys = cached_property(lambda _: Keys())
    limiter = cached_property(lambda _: RateLimiter(Rates(), limit=100, window_ms=60_000))
