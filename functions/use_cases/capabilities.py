"""List what this gateway can run: workflows, models and limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.use_cases.executors import offered_models, recent_heartbeats
from gateway.domain.file_names import SAVED_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain.model_files import ModelFolder
    from gateway.domain.workflow import WorkflowHead
    from gateway.ports import Clock, ExecutorStore, WorkflowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayCapabilities:
    """What can be run at present."""

    workflows: Sequence[WorkflowHead]
    models: Mapping[str, ModelFolder]  # by ComfyUI's folder
    formats: Sequence[str]


def get_capabilities(workflows: WorkflowStore, executors: ExecutorStore, clock: Clock) -> GatewayCapabilities:
    """Read the workflows, and the models of all reachable ComfyUIs."""
    return GatewayCapabilities(
        workflows=workflows.heads(),
        models=offered_models(recent_heartbeats(executors, clock), executors.models()),
        formats=SAVED_FORMATS,
    )
