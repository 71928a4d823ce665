"""Measure the time of warm handlers without AWS, and their AWS usage.

    python bench/bench_handlers.py [--quick]

Prints a table and writes results/handlers.json. Times are from the API Gateway event to the response, with in-memory
ports; calls and bytes (bodies, without headers) are counted against the embedded AWS.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from api import WORKFLOW, Api, bundled_workflows, counting, emulated, silence_the_log
from in_memory import InMemoryWiring
from report import arguments, p95, write
from rich.console import Console
from rich.table import Table

from gateway.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UPS, ROUNDS = 200, 2000
TARGET_MS = {"POST /jobs": 3.0, "GET /jobs/{id}": 1.0}
JOB = {
    "workflowId": WORKFLOW,
    "inputs": {"prompt": "a lighthouse at dawn", "steps": 30, "seed": -1},
    "metadata": {"customer": "42"},
}
NOWHERE = {
    "TABLE_NAME": "t", "BUCKET_NAME": "b", "EVENT_BUS_NAME": "e", "HIGH_QUEUE_URL": "http://h",
    "NORMAL_QUEUE_URL": "http://n", "LOW_QUEUE_URL": "http://l", "WEBHOOK_QUEUE_URL": "http://w",
}  # fmt: skip


def routes(api: Api) -> dict[str, Callable[[], dict[str, Any]]]:
    """Prepare a request for every measured route."""
    submit = api.request("POST", "/jobs", body=JOB)
    job_id = json.loads(submit()["body"])["jobId"]
    return {
        "POST /jobs": submit,
        "GET /jobs/{id}": api.request("GET", f"/jobs/{job_id}"),
        "GET /workflows": api.request("GET", "/workflows"),
    }


def measure_times(rounds: int) -> dict[str, dict[str, float]]:
    """Return the time of each route with in-memory ports, in milliseconds."""
    wiring = InMemoryWiring(ApiSettings.from_environment(NOWHERE), bundled_workflows())
    times = {}
    for route, send in routes(Api(wiring)).items():
        for _ in range(WARM_UPS):
            send()
        samples = []
        for _ in range(rounds):
            started = time.perf_counter()
            send()
            samples.append((time.perf_counter() - started) * 1000)
        times[route] = {
            "median_ms": round(statistics.median(samples), 3),
            "p95_ms": round(p95(samples), 3),
        }
    return times


def measure_calls() -> dict[str, dict[str, Any]]:
    """Return the AWS usage of each warm route."""
    counted = {}
    with emulated() as (wiring, clients):
        for route, send in routes(Api(wiring)).items():
            send()
            with counting(clients) as calls:
                send()
            counted[route] = {
                "calls": [call.operation for call in calls],
                "bytes_sent": sum(call.sent for call in calls),
                "bytes_received": sum(call.received for call in calls),
            }
    return counted


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    silence_the_log()
    times, calls = measure_times(100 if given.quick else ROUNDS), measure_calls()
    table = Table("route", "median ms", "p95 ms", "target ms", "AWS calls", "bytes to AWS", "bytes from AWS")
    for route, time_of in times.items():
        count = calls[route]
        numbers = (time_of["median_ms"], time_of["p95_ms"], TARGET_MS.get(route, ""))
        table.add_row(route, *map(str, numbers), "\n".join(count["calls"]), *map(str, list(count.values())[1:]))
    Console(width=140).print(table)
    result = {"rounds": ROUNDS, "routes": {route: {**times[route], **calls[route]} for route in times}}
    write("handlers", result, quick=given.quick)


if __name__ == "__main__":
    main()
