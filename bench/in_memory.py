"""The ports that requests go through, in memory: what is left of a request's time is the handlers' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from api import USER, USER_KEY

from functions.http.rate_limit import RateLimiter
from functions.wiring.workflows import WorkflowWiring
from gateway.domain import timestamps
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowHead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gateway.domain.executor import Heartbeat
    from gateway.domain.job import Job
    from gateway.domain.messages import JobMessage
    from gateway.domain.workflow import WorkflowTemplate
    from gateway.ports import ApiKeyStore, ExecutorStore, JobQueue, JobStore, ObjectStore, ResultCache, WorkflowStore
    from gateway.settings import ApiSettings


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
    """These workflows, by id."""

    def __init__(self, templates: Mapping[str, WorkflowTemplate]) -> None:
        now = timestamps.now()
        self._templates = templates
        self._heads = {
            name: WorkflowHead(
                id=name, name=name, description="", version=1, created_at=now, updated_at=now, template_key=name
            )
            for name in templates
        }

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read a head, or None."""
        return self._heads.get(workflow_id)

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads."""
        return list(self._heads.values())

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read a template."""
        return self._templates[template_key]


class Results:
    """None is kept; the head that is read along with one is a workflow's."""

    def __init__(self, workflows: Workflows) -> None:
        self._workflows = workflows

    def find_with_head(self, key: str, workflow_id: str, *, now: datetime) -> tuple[WorkflowHead | None, None]:
        """Read a head, and no result."""
        del key, now
        return self._workflows.head(workflow_id), None

    def find(self, key: str, *, now: datetime) -> None:
        """Read no result."""
        del key, now


class Queue:
    """Messages go nowhere, but are written down first, as for SQS."""

    def send(self, message: JobMessage, *, group: str) -> None:
        """Write a message down."""
        del group
        message.model_dump_json(by_alias=True, exclude_none=True)


class Executors:
    """None has reported."""

    def heartbeats(self, since: datetime) -> Sequence[Heartbeat]:
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
        if sha256 != hash_key(USER_KEY):
            return None
        return ApiKey(sha256=sha256, name=USER, owner=USER, role=Role.USER, created_at=timestamps.now())


class InMemoryWiring(WorkflowWiring):
    """A deployment without AWS. Its ports have what the measured routes ask for, and no more."""

    def __init__(self, settings: ApiSettings, templates: Mapping[str, WorkflowTemplate]) -> None:
        super().__init__(settings)
        workflows = Workflows(templates)
        self.workflows = cast("WorkflowStore", workflows)
        self.results = cast("ResultCache", Results(workflows)) if settings.cache_enabled else None
        self.jobs = cast("JobStore", Jobs())
        self.queue = cast("JobQueue", Queue())
        self.executors = cast("ExecutorStore", Executors())
        self.objects = self.outputs = cast("ObjectStore", None)
        self._keys = cast("ApiKeyStore", Keys())

    @property
    def limiter(self) -> RateLimiter:
        """Counts requests."""
        return RateLimiter(Rates(), limit=100, window_ms=60_000)
