"""Counts the executors that are there, every minute: those in AWS and those elsewhere report to the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.metrics import Metric, emit
from functions.use_cases.executors import recent_heartbeats
from functions.wiring.events import EventWiring, entry_point

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler


def make_handler(background: EventWiring) -> Handler:
    """Put the function together."""
    executors = background.executors

    def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        healthy = [report for report in recent_heartbeats(executors) if report.comfyui_reachable]
        busy = sum(report.busy for report in healthy)
        # Zero is written as well: it is what an alarm waits for.
        emit({Metric.EXECUTORS_HEALTHY: len(healthy), Metric.EXECUTORS_BUSY: busy})
        return {}

    return handler


handler = entry_point(make_handler)
