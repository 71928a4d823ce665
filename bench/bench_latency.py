"""How long it takes from POST /jobs to ComfyUI's execution_start when nothing else is going on.

    python bench/bench_latency.py

prints a table and writes results/latency.json. Everything runs as `make run` starts it, on a simulator whose history
says when each prompt began. Long polls of the embedded AWS wake after 51 ms in the median: those are in the whole.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from stack import comfyui, gateway

from gateway.domain.job import Priority, prompt_id

ROUNDS, WARM_UPS = 50, 5
TARGET_MS = 120
WORKFLOW = {
    "id": "solid",
    "name": "One colour",
    "workflowJson": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": "{{color}}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "solid"}},
    },
    "inputSchema": {"type": "object", "fields": {"color": {"type": "integer", "required": True}}},
}
# The parts of the way, which add up to the whole.
PARTS = (
    "POST to acceptance: front, checks, template, cache",
    "acceptance to 202: record, message",
    "202 to claim: SQS wakes the executor, ComfyUI answers",
    "claim",
    "submit, until ComfyUI begins",
)


class Measurement:
    """Jobs through one gateway, one at a time."""

    def __init__(self, url: str, comfyui_url: str) -> None:
        self._url = url
        self._comfyui_url = comfyui_url
        self._session = requests.Session()
        self._colors = iter(range(1_000_000))  # no two jobs are equal, or the second would come from the cache
        self._session.post(f"{url}/workflows", json=WORKFLOW, timeout=10).raise_for_status()

    def parts_ms(self, priority: Priority) -> list[float]:
        """Run a job and say how long each part of its way took."""
        time.sleep(random.uniform(0.2, 0.4))  # noqa: S311  so that the polls of an idle executor are at any point
        body = {"workflowId": "solid", "inputs": {"color": next(self._colors)}, "priority": priority}
        posted = time.time()
        job_id = self._json("POST", f"{self._url}/jobs", body)["jobId"]
        answered = time.time()
        timing = self._json("GET", f"{self._url}/jobs/{job_id}?wait=25")["timing"]
        logs = self._json("GET", f"{self._url}/jobs/{job_id}/logs")["logs"]
        (claimed,) = (line["timestamp"] for line in logs if line["message"].startswith("Taken by"))
        run = prompt_id(job_id, 1)
        entry = self._json("GET", f"{self._comfyui_url}/history/{run}")[run]
        began = dict(entry["status"]["messages"])["execution_start"]["timestamp"] / 1000
        ends = [_seconds(timing["createdAt"]), answered, _seconds(timing["startedAt"]), _seconds(claimed), began]
        return [(end - start) * 1000 for start, end in zip([posted, *ends], ends, strict=False)]

    def _json(self, method: str, url: str, body: object = None) -> dict[str, Any]:
        answer = self._session.request(method, url, json=body, timeout=60)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def measure() -> dict[Priority, list[list[float]]]:
    """Measure jobs of each priority."""
    with comfyui(real=False) as comfyui_url, gateway(comfyui_url) as url:
        measurement = Measurement(url, comfyui_url)
        for _ in range(WARM_UPS):
            measurement.parts_ms(Priority.NORMAL)
        return {priority: [measurement.parts_ms(priority) for _ in range(ROUNDS)] for priority in Priority}


def main() -> None:
    """Measure, print, write."""
    began = os.getloadavg()[0]
    seen = measure()
    load = round((began + os.getloadavg()[0]) / 2, 2)
    table = Table("median ms", *seen)
    result: dict[str, dict[str, float]] = {priority: {} for priority in seen}
    for index, part in enumerate(PARTS):
        for priority, rounds in seen.items():
            result[priority][part] = round(statistics.median(parts[index] for parts in rounds), 1)
    for priority, rounds in seen.items():
        wholes = [sum(parts) for parts in rounds]
        result[priority]["whole"] = round(statistics.median(wholes), 1)
        result[priority]["whole, 95th percentile"] = round(statistics.quantiles(wholes, n=20)[-1], 1)
    for row in next(iter(result.values())):
        table.add_row(row, *(f"{result[priority][row]:g}" for priority in seen))
    Console(width=120).print(table)
    print(f"target: the whole under {TARGET_MS} ms; load of the machine {load}")
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": load}
    target = Path(__file__).with_name("results") / "latency.json"
    target.write_text(json.dumps({"machine": machine, "rounds": ROUNDS, "median_ms": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
