"""Report whether any ComfyUI is reachable; authenticated callers get details of each executor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from functions.use_cases.executors import offered_models, recent_heartbeats
from gateway.domain.model_files import CHECKPOINTS
from gateway.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder
    from gateway.domain.principal import Principal
    from gateway.ports import Clock, ExecutorStore


@dataclass(frozen=True, slots=True)
class ExecutorState:
    """An executor's last heartbeat, and the models of its ComfyUI by folder."""

    heartbeat: Heartbeat
    models: Mapping[str, ModelFolder]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """All executors in detail. `comfyui_url`: of the first reachable one."""

    comfyui_url: str | None
    checkpoints: Sequence[str]  # of all reachable ComfyUIs
    executors: Sequence[ExecutorState]
    shows_current_jobs: bool  # else every `current_job_id` is None: only admins may see other owners' job ids


@dataclass(frozen=True, slots=True)
class GatewayHealth:
    """How the gateway is. `fleet` is None for callers that are not authenticated."""

    comfyui_reachable: bool
    fleet: FleetState | None


def get_health(executors: ExecutorStore, clock: Clock, caller: Principal | None) -> GatewayHealth:
    """Read the heartbeats, and for an authenticated caller the models as well."""
    heartbeats = recent_heartbeats(executors, clock)
    reachable = [heartbeat for heartbeat in heartbeats if heartbeat.comfyui_reachable]
    if caller is None:
        return GatewayHealth(bool(reachable), fleet=None)
    models = executors.models()
    checkpoints = offered_models(heartbeats, models).get(CHECKPOINTS)
    shows_current_jobs = caller.role is Role.ADMIN
    if not shows_current_jobs:
        heartbeats = [replace(heartbeat, current_job_id=None) for heartbeat in heartbeats]
    fleet = FleetState(
        comfyui_url=reachable[0].comfyui_url if reachable else None,
        checkpoints=checkpoints.names if checkpoints else (),
        executors=[ExecutorState(heartbeat, models.get(heartbeat.id, {})) for heartbeat in heartbeats],
        shows_current_jobs=shows_current_jobs,
    )
    return GatewayHealth(bool(reachable), fleet)
