"""The executors that are there now, and what the ComfyUIs beside them offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.executor import REPORT_FRESH
from gateway.domain.model_files import merged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.domain.executor import ExecutorReport
    from gateway.domain.model_files import ModelFolder
    from gateway.ports import ExecutorStore


def recent_reports(executors: ExecutorStore) -> Sequence[ExecutorReport]:
    """Read the reports of those that are there. One call."""
    return executors.recent(since=timestamps.now() - REPORT_FRESH)


def offered_models(
    reports: Sequence[ExecutorReport], models: Mapping[str, Mapping[str, ModelFolder]]
) -> Mapping[str, ModelFolder]:
    """List the models of all ComfyUIs that can be reached. `models`: of every executor, by its id."""
    return merged(models.get(report.id, {}) for report in reports if report.comfyui_reachable)
