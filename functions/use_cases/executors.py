"""The executors that are alive, and the models that their ComfyUIs offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.executor import HEARTBEAT_MAX_AGE
from gateway.domain.model_files import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder
    from gateway.ports import Clock, ExecutorStore


def recent_heartbeats(executors: ExecutorStore, clock: Clock) -> Sequence[Heartbeat]:
    """Read the heartbeats of executors that are alive, with one call."""
    return executors.heartbeats(since=clock.now() - HEARTBEAT_MAX_AGE)


def offered_models(
    heartbeats: Sequence[Heartbeat], models: Mapping[str, Mapping[str, ModelFolder]]
) -> Mapping[str, ModelFolder]:
    """Merge the models of all reachable ComfyUIs. `models`: of every executor, by its id."""
    return merged(models.get(heartbeat.id, {}) for heartbeat in heartbeats if heartbeat.comfyui_reachable)
