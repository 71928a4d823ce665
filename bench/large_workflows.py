"""Measure submission with many workflows of the maximum size."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from api import ADMIN_KEY, Api, counting
from prompts import SOLID_WORKFLOW, colors

from functions.wiring.workflows import WorkflowWiring

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.settings import ApiSettings

_NOTES, _NOTE_BYTES = 100, 10_000  # 1 MB together


def measure_large_workflows(api: Api, settings: ApiSettings, *, count: int) -> dict[str, Any]:
    """Register large workflows; submit a job of each, twice, and of a small one. Times are medians in milliseconds."""
    names = [f"large-{number}" for number in range(count)]
    for name in names:
        api.request("POST", "/workflows", body=_large_workflow(name), key=ADMIN_KEY)()
    # With empty caches.
    wiring = WorkflowWiring(settings)
    api, clients = Api(wiring), wiring._clients  # noqa: SLF001  the clients of the handlers
    _submit(api, clients, "solid")
    return {
        "workflows": count,
        "submits": {
            "of a small workflow": _summary([_submit(api, clients, "solid") for _ in range(count)]),
            "of a large one, read for the first time": _summary([_submit(api, clients, name) for name in names]),
            "of a large one, as often as one likes": _summary([_submit(api, clients, names[-1]) for _ in range(count)]),
        },
    }


def _large_workflow(name: str) -> dict[str, Any]:
    # Text in the graph, like a long prompt or a mask; all of it is stored and sent to ComfyUI.
    notes = {
        f"note{number}": {
            "class_type": "LabText",
            "inputs": {"image": ["1", 0], "text": f"{number} " * (_NOTE_BYTES // 4)},
        }
        for number in range(_NOTES)
    }
    graph = {**SOLID_WORKFLOW["workflowJson"], **notes}  # type: ignore[dict-item]
    return {**SOLID_WORKFLOW, "id": name, "name": name, "workflowJson": graph}


def _submit(api: Api, clients: Clients, workflow_id: str) -> dict[str, Any]:
    send = api.request("POST", "/jobs", body={"workflowId": workflow_id, "inputs": {"color": next(colors)}})
    with counting(clients) as calls:
        started, cpu_started = time.perf_counter(), time.thread_time()
        send()
        cpu_ms, ms = (time.thread_time() - cpu_started) * 1000, (time.perf_counter() - started) * 1000
    return {"ms": ms, "cpu_ms": cpu_ms, "calls": [call.operation.rpartition(".")[2] for call in calls]}


def _summary(submits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "ms": round(statistics.median(each["ms"] for each in submits), 1),
        "cpu_ms": round(statistics.median(each["cpu_ms"] for each in submits), 1),
        "calls": submits[-1]["calls"],
    }
