"""All ports in memory, connected to one another and driven by one clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testing.api_keys import InMemoryApiKeyAdmin, InMemoryApiKeyStore
from testing.audit_log import InMemoryAuditLog
from testing.clock import FakeClock
from testing.counters import InMemoryJobCountStore, InMemoryRateLimitStore
from testing.delivery_store import InMemoryDeliveryStore
from testing.event_bus import InMemoryEventBus
from testing.executor_store import InMemoryExecutorStore
from testing.job_list import InMemoryJobList
from testing.job_store import InMemoryJobStore
from testing.object_store import InMemoryObjectStore
from testing.queues import InMemoryJobQueue, InMemoryQueueDepth, InMemoryWebhookQueue
from testing.result_cache import InMemoryResultCache
from testing.sweep_store import InMemorySweepStore
from testing.workflow_store import InMemoryWorkflowStore

if TYPE_CHECKING:
    from gateway.ports import Clock


class InMemoryPorts:
    """One gateway's stores, queues and bus. Without a clock, `FakeClock`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.jobs = InMemoryJobStore()
        self.job_list = InMemoryJobList(self.jobs)
        self.deliveries = InMemoryDeliveryStore(self.jobs)
        self.audit = InMemoryAuditLog()
        self.workflows = InMemoryWorkflowStore(self.clock, self.audit)
        self.results = InMemoryResultCache(self.workflows)
        self.keys = InMemoryApiKeyStore()
        self.key_admin = InMemoryApiKeyAdmin(self.clock, self.keys, self.audit)
        self.rates = InMemoryRateLimitStore()
        self.job_counts = InMemoryJobCountStore(self.clock)
        self.executors = InMemoryExecutorStore()
        self.sweeps = InMemorySweepStore()
        self.objects = InMemoryObjectStore()
        self.queue = InMemoryJobQueue(self.clock)
        self.queue_depth = InMemoryQueueDepth(self.queue)
        self.webhooks = InMemoryWebhookQueue(self.clock)
        self.events = InMemoryEventBus(self.webhooks)
