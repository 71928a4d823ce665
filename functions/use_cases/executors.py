"""The executors that are there now, and what the ComfyUIs beside them offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.executor import HEARTBEAT_MAX_AGE
from gateway.domain.model_files import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder
    from gateway.ports import ExecutorStore


def recent_heartbeats(executors: ExecutorStore) -> Sequence[Heartbeat]:
    """Read the reports of those that are there. One call."""
    return executors.heartbeats(since=timestamps.now() - HEARTBEAT_MAX_AGE)


def offered_models(
    reports: Sequence[Heartbeat], models: Mapping[str, Mapping[str, ModelFolder]]
) -> Mapping[str, ModelFolder]:
    """List the models of all ComfyUIs that can be reached. `models`: of every executor, by its id."""
    return merged(models.get(report.id, {}) for report in reports if report.comfyui_reachable)
