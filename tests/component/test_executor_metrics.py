"""The executor metrics function: numbers of healthy and busy executors."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.events import executor_metrics
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.executor import HEARTBEAT_MAX_AGE, Heartbeat
from tests.component.event_functions import NO_CONTEXT, EventFunctions

if TYPE_CHECKING:
    import pytest

    from gateway.aws.clients import Clients


def add_executor(event_functions: EventFunctions, executor_id: str, **fields: Any) -> None:  # noqa: ANN401  the fields of a heartbeat
    """Store an executor's heartbeat, with the present time by default."""
    usual = {"version": "1", "last_seen_at": SYSTEM_CLOCK.now(), "jobs": 0, "waiting": 0, "comfyui_reachable": True}
    heartbeat = Heartbeat(id=executor_id, comfyui_url="http://127.0.0.1:8188", **{**usual, **fields})
    event_functions.wiring.executors.put_heartbeat(heartbeat, expires_at=SYSTEM_CLOCK.now() + timedelta(days=1))


def metrics_of_one_run(event_functions: EventFunctions, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Run the function once; return the metrics it wrote, by name."""
    executor_metrics.handler.make_handler(event_functions.wiring)({}, NO_CONTEXT)
    line = json.loads(capsys.readouterr().out)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}


def test_executors_with_a_reachable_comfyui_are_counted(
    aws: dict[str, str], aws_clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    """Executors without recent heartbeats or without a reachable ComfyUI are not healthy."""
    event_functions = EventFunctions(aws, aws_clients)
    add_executor(event_functions, "idle")
    add_executor(event_functions, "busy", jobs=2)
    add_executor(event_functions, "without-comfyui", comfyui_reachable=False, jobs=1)
    add_executor(event_functions, "gone", last_seen_at=SYSTEM_CLOCK.now() - 2 * HEARTBEAT_MAX_AGE)
    assert metrics_of_one_run(event_functions, capsys) == {"ExecutorsHealthy": 2, "ExecutorsBusy": 1}


def test_no_executors_are_written_as_zero(
    aws: dict[str, str], aws_clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zero executors are written as 0, which raises the alarm; a gap would mean that counting failed."""
    assert metrics_of_one_run(EventFunctions(aws, aws_clients), capsys) == {"ExecutorsHealthy": 0, "ExecutorsBusy": 0}
