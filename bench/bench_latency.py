"""Measure the time of a job before and after its run, without other load.

    python bench/bench_latency.py [--quick]

Prints two tables and writes results/latency.json. Everything runs as `make run` starts it, on a simulator whose history
has the start and end of each prompt. Long polls of the embedded AWS return after 51 ms in the median: there is one
before ComfyUI, and one before the webhook.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import requests
from prompts import SOLID_WORKFLOW, colors
from receiver import receiver
from report import arguments, p95, write
from rich.console import Console
from rich.table import Table
from stack import comfyui, gateway, wait_until

from gateway.domain.job import Priority, prompt_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from receiver import ReceivedWebhook

ROUNDS, WARM_UPS = 30, 5
TARGET_MS = 120
# The steps from POST to the start of the run.
PARTS = (
    "POST to acceptance: API process, validation, template, cache",
    "acceptance to 202: record, message",
    "202 to claim: long poll of SQS, check of ComfyUI",
    "claim",
    "submit to ComfyUI, until it starts",
)
SEEN, RESPONDED, RECEIVED = (
    "until visible as succeeded",
    "until a request with ?wait= returns",
    "until the webhook is received",
)
_LOOK_SECONDS = 0.002
_WEBHOOK_SECONDS = 20


class LatencyMeasurement:
    """Jobs on one gateway, one at a time. `received`: the webhooks sent to `hook_url`."""

    def __init__(self, url: str, comfyui_url: str, hook_url: str, received: Sequence[ReceivedWebhook]) -> None:
        self._url = url
        self._comfyui_url = comfyui_url
        self._hook_url = hook_url
        self._received = received
        self._session = requests.Session()
        self._session.post(f"{url}/workflows", json=SOLID_WORKFLOW, timeout=10).raise_for_status()

    def before_ms(self, priority: Priority) -> list[float]:
        """Run a job and return the time of each step before its run."""
        posted, job_id = self._post(priority=priority)
        responded_at = time.time()
        timing = self._json("GET", f"{self._url}/jobs/{job_id}?wait=25")["timing"]
        logs = self._json("GET", f"{self._url}/jobs/{job_id}/logs")["logs"]
        (claimed,) = (line["timestamp"] for line in logs if line["message"].startswith("Claimed by"))
        began = self._ran(job_id)["execution_start"]
        ends = [_seconds(timing["createdAt"]), responded_at, _seconds(timing["startedAt"]), _seconds(claimed), began]
        return [(end - start) * 1000 for start, end in zip([posted, *ends], ends, strict=False)]

    def after_ms(self, *, waiting: bool) -> dict[str, float]:
        """Run a job and return how long after its run its end was visible.

        `waiting`: to one request with ?wait=; otherwise by polling.
        """
        _, job_id = self._post(callbackUrl=self._hook_url)
        query = "?wait=25" if waiting else ""
        while self._json("GET", f"{self._url}/jobs/{job_id}{query}")["status"] != "succeeded":
            time.sleep(_LOOK_SECONDS)
        seen = time.time()
        wait_until(lambda: self._received and self._received[-1].job_id == job_id, "a webhook", _WEBHOOK_SECONDS)
        ended = self._ran(job_id)["execution_success"]
        return {
            RESPONDED if waiting else SEEN: (seen - ended) * 1000,
            RECEIVED: (self._received[-1].at - ended) * 1000,
        }

    def _post(self, **fields: object) -> tuple[float, str]:
        """Submit a job; return when, and its id."""
        time.sleep(random.uniform(0.2, 0.4))  # noqa: S311  so that the polls of an idle executor are at any point
        body = {"workflowId": "solid", "inputs": {"color": next(colors)}, **fields}
        posted = time.time()
        return posted, self._json("POST", f"{self._url}/jobs", body)["jobId"]

    def _ran(self, job_id: str) -> dict[str, float]:
        """Return when the first attempt of a job started and ended in ComfyUI, in epoch seconds."""
        run = prompt_id(job_id, 1)
        messages = self._json("GET", f"{self._comfyui_url}/history/{run}")[run]["status"]["messages"]
        return {name: data["timestamp"] / 1000 for name, data in messages}

    def _json(self, method: str, url: str, body: object = None) -> dict[str, Any]:
        response = self._session.request(method, url, json=body, timeout=60)
        response.raise_for_status()
        content: dict[str, Any] = response.json()
        return content


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def measure(rounds: int) -> tuple[dict[Priority, list[list[float]]], list[dict[str, float]]]:
    """Measure the time before the run for jobs of each priority, and the time after the run."""
    with (
        comfyui(real=False) as comfyui_url,
        gateway(comfyui_url) as url,
        receiver() as (hook_url, received),
    ):
        measurement = LatencyMeasurement(url, comfyui_url, hook_url, received)
        for _ in range(WARM_UPS):
            measurement.before_ms(Priority.NORMAL)
            measurement.after_ms(waiting=True)
        before = {priority: [measurement.before_ms(priority) for _ in range(rounds)] for priority in Priority}
        return before, [measurement.after_ms(waiting=number % 2 == 0) for number in range(2 * rounds)]


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    return {"median_ms": round(statistics.median(samples), 1), "p95_ms": round(p95(samples), 1)}


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    rounds = 5 if given.quick else ROUNDS
    load = os.getloadavg()[0]
    before, after = measure(rounds)
    wholes = {priority: summary([sum(parts) for parts in seen]) for priority, seen in before.items()}
    parts = {
        part: {priority: round(statistics.median(each[index] for each in seen), 1) for priority, seen in before.items()}
        for index, part in enumerate(PARTS)
    }
    ends = {what: summary([each[what] for each in after if what in each]) for what in (SEEN, RESPONDED, RECEIVED)}
    table = Table("from POST to the start of the run, median ms", *before)
    for part, of_priorities in parts.items():
        table.add_row(part, *(f"{value:g}" for value in of_priorities.values()), end_section=part == PARTS[-1])
    for name in ("median_ms", "p95_ms"):
        table.add_row(f"the whole, {name}", *(f"{wholes[priority][name]:g}" for priority in before))
    Console(width=120).print(table)
    table = Table("from the end of the run to", "median ms", "p95 ms")
    for what, values in ends.items():
        table.add_row(what, *(f"{value:g}" for value in values.values()))
    Console(width=120).print(table)
    print(f"target: the whole under {TARGET_MS} ms; load of the machine at the start {load:.2f}")
    result = {"rounds": rounds, "parts_median_ms": parts, "before_the_run": wholes, "after_the_run": ends}
    write("latency", result, quick=given.quick)


if __name__ == "__main__":
    main()
