"""How many requests the local front answers, and which share that is of what the embedded AWS alone allows.

    python bench/bench_front.py [--quick]

prints a table and writes results/front.json. Clients submit jobs, or read the status of one, as fast as they are
answered; no executor runs. In turns with it, as many clients make only the calls to AWS that the handlers make for such
a request, over kept connections and with nothing between: more than that no front on this embedded AWS can answer.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import requests
from api import USER_KEY, silence_the_log
from prompts import colors
from replay import Wire, scripted
from report import arguments, p95, write
from rich.console import Console
from rich.table import Table
from stack import front

if TYPE_CHECKING:
    from collections.abc import Callable

    from replay import Call, Script

    Work = Callable[[], None]  # one request; made anew for each client

CLIENTS = (1, 8, 32)
ROUNDS, SECONDS = 3, 5.0
TARGET = 0.70


def submits(url: str) -> Work:
    """Make a client that submits."""
    session = requests.Session()
    session.headers["X-API-Key"] = USER_KEY

    def submit() -> None:
        body = {"workflowId": "solid", "inputs": {"color": next(colors)}}
        session.post(f"{url}/jobs", json=body, timeout=60).raise_for_status()

    return submit


def reads(url: str, job_id: str) -> Work:
    """Make a client that reads a job's status."""
    session = requests.Session()
    session.headers["X-API-Key"] = USER_KEY

    def read() -> None:
        session.get(f"{url}/jobs/{job_id}", timeout=60).raise_for_status()

    return read


def calls_alone(script: Script, calls: list[Call], *, new_job: bool) -> Work:
    """Make a client that makes only these calls, for the same job or a new one each time."""
    wire = Wire(script.endpoint)

    def make_calls() -> None:
        job_id = str(uuid.uuid4()) if new_job else script.job_id
        for call in calls:
            wire.send(call.naming(script.job_id, job_id))

    return make_calls


def rate(make_client: Callable[[], Work], clients: int, seconds: float) -> dict[str, Any]:
    """Let clients work for so long; say how many requests a second they got answered, and how long each took in ms."""
    times: list[float] = []
    ends_at = time.perf_counter() + seconds

    def work(client: Work) -> None:
        while (began := time.perf_counter()) < ends_at:
            client()
            times.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=work, args=(make_client(),)) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"per_second": len(times) / (time.perf_counter() - began), "times": times}


def measure(
    what: str, front_client: Callable[[], Work], alone: Callable[[], Work], *, quick: bool
) -> list[dict[str, Any]]:
    """Measure one kind of request with every number of clients."""
    rows = []
    seconds = 1.0 if quick else SECONDS
    rate(front_client, max(CLIENTS), 1.0)  # so that every process of the front has answered
    for clients in CLIENTS:
        rounds = [
            (rate(front_client, clients, seconds), rate(alone, clients, seconds)) for _ in range(1 if quick else ROUNDS)
        ]
        times = [one for ours, _ in rounds for one in ours["times"]]
        shares = [ours["per_second"] / theirs["per_second"] for ours, theirs in rounds]
        rows.append(
            {
                "request": what,
                "clients": clients,
                "per_second": round(statistics.median(ours["per_second"] for ours, _ in rounds), 1),
                "median_ms": round(statistics.median(times), 1),
                "p95_ms": round(p95(times), 1),
                "its_calls_alone_per_second": round(statistics.median(each["per_second"] for _, each in rounds), 1),
                "share": round(statistics.median(shares), 3),
                "share_least": round(min(shares), 3),
                "share_most": round(max(shares), 3),
            }
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    given = arguments().parse_args()
    silence_the_log()
    with scripted() as (script, _), front() as url:
        submitted = requests.post(
            f"{url}/jobs",
            json={"workflowId": "solid", "inputs": {"color": next(colors)}},
            headers={"X-API-Key": USER_KEY},
            timeout=10,
        )
        job_id = json.loads(submitted.content)["jobId"]
        rows = [
            *measure(
                "GET /jobs/{id}",
                lambda: reads(url, job_id),
                lambda: calls_alone(script, script.status, new_job=False),
                quick=given.quick,
            ),
            *measure(
                "POST /jobs",
                lambda: submits(url),
                lambda: calls_alone(script, script.submit, new_job=True),
                quick=given.quick,
            ),
        ]
    table = Table("request", "clients", "a second", "median ms", "p95 ms", "its calls alone", "share (least to most)")
    for row in rows:
        shown = f"{row['share']:.0%} ({row['share_least']:.0%} to {row['share_most']:.0%})"
        names = ("request", "clients", "per_second", "median_ms", "p95_ms", "its_calls_alone_per_second")
        table.add_row(*(str(row[name]) for name in names), shown)
    Console(width=120).print(table)
    print(f"target: at least {TARGET:.0%} of what its calls alone allow")
    write("front", {"rounds": ROUNDS, "seconds": SECONDS, "rows": rows}, quick=given.quick)


if __name__ == "__main__":
    main()
