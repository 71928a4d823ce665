"""A deployment on in-memory ports: what remains of a request's time is spent in the handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api import USER, USER_KEY

from functions.http.rate_limit import RateLimiter
from functions.wiring.workflows import WorkflowWiring
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.audit import Authorship
from gateway.domain.principal import ApiKey, Principal, Role, hash_key
from testing.ports import InMemoryPorts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.workflow import WorkflowTemplate
    from gateway.settings import ApiSettings

_BY = Authorship(actor=Principal(owner="bench", role=Role.ADMIN), correlation_id="bench")
_NEVER_REACHED = 10**9


class InMemoryWiring(WorkflowWiring):
    """Wires the API to in-memory ports that have these workflows and one user's key."""

    def __init__(self, settings: ApiSettings, templates: Mapping[str, WorkflowTemplate]) -> None:
        super().__init__(settings)
        ports = InMemoryPorts(SYSTEM_CLOCK)
        for workflow_id, template in templates.items():
            ports.workflows.create(workflow_id, workflow_id, "", template, _BY)
        ports.keys.put(
            ApiKey(sha256=hash_key(USER_KEY), name=USER, owner=USER, role=Role.USER, created_at=SYSTEM_CLOCK.now())
        )
        self.workflows = ports.workflows
        self.results = ports.results if settings.cache_enabled else None
        self.jobs = ports.jobs
        self.queue = ports.queue
        self.executors = ports.executors
        self.objects = self.outputs = ports.objects
        self._keys = ports.keys
        self._limiter = RateLimiter(ports.rates, SYSTEM_CLOCK, limit=_NEVER_REACHED, window_ms=60_000)

    @property
    def limiter(self) -> RateLimiter:
        """Counts requests without refusing any."""
        return self._limiter
