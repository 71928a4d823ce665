"""Measure the requests per second of local mode, as a share of the limit of the embedded AWS.

    python bench/bench_local_api.py [--quick]

Prints a table and writes results/local_api.json. Clients submit jobs, or read the status of one, as fast as possible;
no executor runs. For comparison, only the AWS calls of such a request are made, in alternation:

- prepared requests over persistent connections, by as many clients: the limit of the embedded AWS itself
- by boto3, in as many processes, at most eight: the limit for any program with the AWS SDK on this machine

Clients, API process and the embedded AWS share the cores.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from api import USER_KEY, silence_the_log
from boto3_calls import Boto3Calls
from prompts import colors
from replay import Wire, scripted
from report import arguments, p95, write
from rich.console import Console
from rich.table import Table
from stack import local_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from replay import RecordedCall, Script

    Work = Callable[[], None]  # one request; created per client

CLIENTS = (1, 8, 32)
ROUNDS, SECONDS = 3, 2.0
TARGET = 0.70


def client(url: str, method: str, path: str) -> Work:
    """Return a function that sends the request; a POST submits a new job each time."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"X-API-Key": USER_KEY, "Content-Type": "application/json"}

    def send() -> None:
        job = {"workflowId": "solid", "inputs": {"color": next(colors)}}
        connection.request(method, path, json.dumps(job) if method == "POST" else None, headers)
        response = connection.getresponse()
        body = response.read()
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(body.decode())

    return send


def calls_alone(script: Script, calls: list[RecordedCall], *, new_job: bool) -> Work:
    """Return a function that makes only these calls, for the same job or a new one each time."""
    wire = Wire(script.endpoint)

    def make_calls() -> None:
        job_id = str(uuid.uuid4()) if new_job else script.job_id
        for call in calls:
            wire.send(call.naming(script.job_id, job_id))

    return make_calls


def rate(make_client: Callable[[], Work], clients: int, seconds: float) -> dict[str, Any]:
    """Run clients for some seconds; return requests per second and the time of each request in ms."""
    times: list[float] = []
    ends_at = time.perf_counter() + seconds

    def work(send: Work) -> None:
        while (began := time.perf_counter()) < ends_at:
            send()
            times.append((time.perf_counter() - began) * 1000)

    threads = [threading.Thread(target=work, args=(make_client(),)) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"per_second": len(times) / (time.perf_counter() - began), "times": times}


def measure(url: str, script: Script, method: str, path: str, *, quick: bool) -> list[dict[str, Any]]:
    """Measure one kind of request with every number of clients."""
    new_job = method == "POST"
    calls = script.submit if new_job else script.status
    seconds = 1.0 if quick else SECONDS
    rate(lambda: client(url, method, path), max(CLIENTS), 1.0)  # warm up the workers of the API process
    rows = []
    for clients in CLIENTS:
        rounds = []
        with Boto3Calls(script, calls, clients, new_job=new_job) as by_boto3:
            for _ in range(1 if quick else ROUNDS):
                ours = rate(lambda: client(url, method, path), clients, seconds)
                alone = rate(lambda: calls_alone(script, calls, new_job=new_job), clients, seconds)
                rounds.append((ours, alone["per_second"], by_boto3.per_second(seconds)))
        times = [one for ours, *_ in rounds for one in ours["times"]]
        rows.append(
            {
                "request": "POST /jobs" if new_job else "GET /jobs/{id}",
                "clients": clients,
                "per_second": _median(ours["per_second"] for ours, *_ in rounds),
                "median_ms": _median(times),
                "p95_ms": round(p95(times), 1),
                "its_calls_alone_per_second": _median(alone for _, alone, _ in rounds),
                "its_calls_by_boto3_per_second": _median(boto3 for *_, boto3 in rounds),
                "share": _shares(ours["per_second"] / alone for ours, alone, _ in rounds),
                "share_of_boto3": _shares(ours["per_second"] / boto3 for ours, _, boto3 in rounds),
            }
        )
    return rows


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


def _shares(values: Iterable[float]) -> dict[str, float]:
    shares = sorted(values)
    return {"median": round(statistics.median(shares), 3), "least": round(shares[0], 3), "most": round(shares[-1], 3)}


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    silence_the_log()
    with scripted() as (script, _), local_api() as url:
        rows = [
            *measure(url, script, "GET", f"/jobs/{script.job_id}", quick=given.quick),
            *measure(url, script, "POST", "/jobs", quick=given.quick),
        ]
    columns = ("request", "clients", "a second", "median ms", "p95 ms", "its calls alone", "share", "by boto3", "share")
    table = Table(*columns)
    for row in rows:
        first = ("request", "clients", "per_second", "median_ms", "p95_ms", "its_calls_alone_per_second")
        cells = [str(row[name]) for name in first] + [_shown(row["share"])]
        table.add_row(*cells, str(row["its_calls_by_boto3_per_second"]), _shown(row["share_of_boto3"]))
    Console(width=140).print(table)
    print(f"target: at least {TARGET:.0%} of the limit of its calls alone")
    write("local_api", {"rounds": ROUNDS, "seconds": SECONDS, "rows": rows}, quick=given.quick)


def _shown(shares: dict[str, float]) -> str:
    return f"{shares['median']:.0%} ({shares['least']:.0%} to {shares['most']:.0%})"


if __name__ == "__main__":
    main()
