"""The result cache in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.domain.result_cache import CachedResult
    from gateway.domain.workflow import WorkflowHead
    from gateway.ports import WorkflowStore


class InMemoryResultCache:
    """Implements the port `ResultCache`. Thread-safe."""

    def __init__(self, workflows: WorkflowStore) -> None:
        self._workflows = workflows
        self._lock = threading.Lock()
        self._results: dict[str, tuple[CachedResult, datetime]] = {}

    def put(self, key: str, result: CachedResult, *, expires_at: datetime) -> None:
        """Write a result in place of an older one."""
        with self._lock:
            self._results[key] = (result, expires_at)

    def find(self, key: str, *, now: datetime) -> CachedResult | None:
        """Read a result that has not expired, or None."""
        with self._lock:
            stored = self._results.get(key)
        return stored[0] if stored is not None and now < stored[1] else None

    def find_with_head(
        self, key: str, workflow_id: str, *, now: datetime
    ) -> tuple[WorkflowHead | None, CachedResult | None]:
        """Read a result and the head of its workflow."""
        return self._workflows.head(workflow_id), self.find(key, now=now)
