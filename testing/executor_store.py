"""Heartbeats and model lists of executors in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder


class InMemoryExecutorStore:
    """Implements the port `ExecutorStore`. Thread-safe. Records never expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heartbeats: dict[str, Heartbeat] = {}
        self._models: dict[str, Mapping[str, ModelFolder]] = {}

    def put_heartbeat(self, heartbeat: Heartbeat, *, expires_at: datetime) -> None:
        """Write an executor's heartbeat in place of its last one."""
        del expires_at
        with self._lock:
            self._heartbeats[heartbeat.id] = heartbeat

    def heartbeats(self, since: datetime) -> Sequence[Heartbeat]:
        """Read the heartbeats sent at `since` or later, by executor id."""
        with self._lock:
            by_id = [self._heartbeats[executor_id] for executor_id in sorted(self._heartbeats)]
        return [heartbeat for heartbeat in by_id if heartbeat.last_seen_at >= since]

    def put_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Write an executor's model folders in place of its last ones."""
        del expires_at
        with self._lock:
            self._models[executor_id] = dict(folders)

    def models(self) -> Mapping[str, Mapping[str, ModelFolder]]:
        """Read the model folders of all executors, by executor id and folder."""
        with self._lock:
            return dict(self._models)
