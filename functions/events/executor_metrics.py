"""Count the executors that are alive, every minute: those in AWS and those elsewhere write to the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.metrics import Metric, emit
from functions.use_cases.executors import recent_heartbeats
from functions.wiring.events import EventWiring, entry_point

if TYPE_CHECKING:
    from functions.wiring.events import EventFunction


def make_function(wiring: EventWiring) -> EventFunction:
    """Make the function that counts once."""

    def count_executors(_event: dict[str, Any]) -> None:
        heartbeats = recent_heartbeats(wiring.executors, wiring.clock)
        healthy = [heartbeat for heartbeat in heartbeats if heartbeat.comfyui_reachable]
        busy = sum(heartbeat.busy for heartbeat in healthy)
        # Zero is written as well: an alarm needs it.
        emit({Metric.EXECUTORS_HEALTHY: len(healthy), Metric.EXECUTORS_BUSY: busy})

    return count_executors


handler = entry_point(make_function)
