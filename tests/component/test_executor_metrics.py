"""The fleet watch writes how many executors there are, and how many of them work."""

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


def report(event_functions: EventFunctions, executor_id: str, **fields: Any) -> None:  # noqa: ANN401  of a report
    """Have an executor say how it is, now unless it is said otherwise."""
    usual = {"version": "1", "last_seen_at": SYSTEM_CLOCK.now(), "jobs": 0, "waiting": 0, "comfyui_reachable": True}
    made = Heartbeat(id=executor_id, comfyui_url="http://127.0.0.1:8188", **{**usual, **fields})
    event_functions.wiring.executors.put_heartbeat(made, expires_at=SYSTEM_CLOCK.now() + timedelta(days=1))


def written(event_functions: EventFunctions, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Run it once; return what it wrote, by metric."""
    executor_metrics.handler.make_handler(event_functions.wiring)({}, NO_CONTEXT)
    line = json.loads(capsys.readouterr().out)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}


def test_executors_whose_comfyui_answers_are_counted(
    aws: dict[str, str], aws_clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are gone, or have lost their ComfyUI, are not: they would take no job."""
    event_functions = EventFunctions(aws, aws_clients)
    report(event_functions, "idle")
    report(event_functions, "busy", jobs=2)
    report(event_functions, "without-comfyui", comfyui_reachable=False, jobs=1)
    report(event_functions, "gone", last_seen_at=SYSTEM_CLOCK.now() - 2 * HEARTBEAT_MAX_AGE)
    assert written(event_functions, capsys) == {"ExecutorsHealthy": 2, "ExecutorsBusy": 1}


def test_nobody_is_written_as_zero(
    aws: dict[str, str], aws_clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    """An alarm waits for the zero; a gap would say that nobody counts."""
    assert written(EventFunctions(aws, aws_clients), capsys) == {"ExecutorsHealthy": 0, "ExecutorsBusy": 0}
