"""Measure the total time of an almost empty job, in several ways on the same ComfyUI.

    python bench/bench_overhead.py [--real] [--quick]

Prints a table and writes results/overhead_simulator.json or, with --real, results/overhead_comfyui.json. The job
creates an image of one color, a new one each time: almost no work for ComfyUI. Its time is from submission until the
client knows the names of its files. The ways alternate in rounds:

- ComfyUI alone: POST /prompt, its WebSocket, its history
- proxy: the Comfy API v2 proxy, which stores nothing
- gateway: everything that `make run` starts, POST /jobs and one GET with ?wait=
- its calls alone: only the AWS calls of such a job, against the embedded AWS, including the wake-up of a long poll.
  This is the share of the embedded AWS in the gateway's time; with one client only
"""

from __future__ import annotations

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from api import silence_the_log
from prompts import colors
from replay import EmulatorAlone, scripted
from report import arguments, p95, write
from rich.console import Console
from rich.table import Table
from stack import comfyui, gateway, proxy
from ways import Direct, Gateway, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ways import Way

ALONE, PROXY, GATEWAY, CALLS = "ComfyUI alone", "proxy", "gateway", "its calls alone"
JOBS = {1: 20, 8: 64, 32: 128}  # per round, by number of clients
ROUNDS = 4
TARGET_MS = 150.0


def run_round(make_client: Callable[[], Way], clients: int, jobs: int) -> dict[str, Any]:
    """Run jobs with concurrent clients, each its share one after the other. Times in milliseconds."""

    def work(client: Way) -> list[float]:
        times = []
        for _ in range(jobs // clients):
            if clients == 1:
                time.sleep(random.uniform(0, 0.1))  # noqa: S311  so that polls are at any point
            began = time.perf_counter()
            client.run_solid(next(colors))
            times.append((time.perf_counter() - began) * 1000)
        return times

    made = [make_client() for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        times = [one for each in pool.map(work, made) for one in each]
    for client in made:
        client.close()
    return {"times": times, "jobs_per_second": clients * 1000 / statistics.mean(times)}


def measure(ways: Mapping[str, Callable[[], Way]], *, quick: bool) -> list[dict[str, Any]]:
    """Measure every way with every number of clients."""
    for make_client in ways.values():
        with closing(make_client()) as client:
            for _ in range(3):
                client.run_solid(next(colors))
    rows = []
    for clients, jobs in JOBS.items():
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in ways if name != CALLS or clients == 1}
        for number in range(2 if quick else ROUNDS):
            order = list(rounds)
            for name in order[number % len(order) :] + order[: number % len(order)]:
                rounds[name].append(run_round(ways[name], clients, max(clients, jobs // 4) if quick else jobs))
        rows += [summary(name, clients, seen, rounds[ALONE]) for name, seen in rounds.items()]
    return rows


def summary(name: str, clients: int, rounds: list[dict[str, Any]], alone: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the times of jobs, and their ratio to ComfyUI alone in the same round."""
    times = [one for each in rounds for one in each["times"]]
    ratios = [
        statistics.median(each["times"]) / statistics.median(base["times"])
        for each, base in zip(rounds, alone, strict=True)
    ]
    return {
        "way": name,
        "clients": clients,
        "jobs": len(times),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(p95(times), 1),
        "jobs_per_second": round(statistics.median(each["jobs_per_second"] for each in rounds), 1),
        "times_comfyui_alone": {
            "median": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "most": round(max(ratios), 2),
        },
    }


def overhead_ms(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Split the added time with one client: the whole, and the share of the embedded AWS."""
    median = {row["way"]: row["median_ms"] for row in rows if row["clients"] == 1}
    whole = median[GATEWAY] - median[ALONE]
    return {
        "whole": round(whole, 1),
        "the embedded AWS's own": median[CALLS],
        "the gateway's": round(whole - median[CALLS], 1),
    }


def main() -> None:
    """Measure, print and write the results."""
    parser = arguments()
    parser.add_argument("--real", action="store_true", help="on a real ComfyUI, on the CPU")
    given = parser.parse_args()
    silence_the_log()
    with (
        scripted() as (script, _),
        comfyui(real=given.real) as comfyui_url,
        gateway(comfyui_url) as url,
        proxy(comfyui_url) as proxy_url,
    ):
        Gateway.prepare(url)
        ways: dict[str, Callable[[], Way]] = {ALONE: lambda: Direct(comfyui_url)}
        if proxy_url:
            ways[PROXY] = lambda: Proxy(proxy_url)
        ways |= {GATEWAY: lambda: Gateway(url), CALLS: lambda: EmulatorAlone(script)}
        rows = measure(ways, quick=given.quick)
    table = Table("clients", "way", "median ms", "p95 ms", "jobs per second", "times ComfyUI alone (least to most)")
    for row in rows:
        ratio = row["times_comfyui_alone"]
        shown = f"{ratio['median']:g} ({ratio['least']:g} to {ratio['most']:g})"
        numbers = (row["median_ms"], row["p95_ms"], row["jobs_per_second"])
        table.add_row(str(row["clients"]), row["way"], *map(str, numbers), shown)
    Console(width=120).print(table)
    parts = overhead_ms(rows)
    print("overhead at one client, ms: " + ", ".join(f"{name} {value:g}" for name, value in parts.items()))
    print(f"target: the whole at most {TARGET_MS:g} ms")
    name = "overhead_comfyui" if given.real else "overhead_simulator"
    write(name, {"rounds": ROUNDS, "rows": rows, "overhead_ms": parts}, quick=given.quick)


if __name__ == "__main__":
    main()
