"""Measure the AWS usage of requests as the table grows, and of submission with many large workflows.

    python bench/bench_growth.py [--most JOBS] [--quick]

Prints tables and writes results/growth.json. The table gets 100 jobs, then 1,000, 10,000 and 100,000, of four owners.
The handlers process each request; their AWS usage must not grow. A list with a filter reads more of a larger table, up
to the limit per request. The total time grows, as the embedded AWS scans all its data for every Query: the time of one
Query for one item is printed for comparison.
"""

from __future__ import annotations

import json
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from api import ADMIN_KEY, USER, WORKFLOW, Api, counting, emulated, silence_the_log
from large_workflows import measure_large_workflows
from metering import Meter
from prompts import SOLID_WORKFLOW, colors
from report import arguments, write
from rich.console import Console
from rich.table import Table

from functions.http import pagination
from gateway.aws.dynamodb import attributes, job_item
from gateway.aws.resources import JOBS_BY_OWNER
from gateway.domain.job import Job, JobStatus, LogLevel, LogLine, Output
from gateway.domain.job_counts import DailyJobCounts
from gateway.domain.page_position import PagePosition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.aws.clients import Clients

SIZES = (100, 1_000, 10_000, 100_000)
ROUNDS = 2
OWNERS = (USER, "bob", "cyd", "dan")
RARE_WORKFLOW = "icon_512"  # one job in fifty
STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = (*[JobStatus.SUCCEEDED] * 18, JobStatus.FAILED, JobStatus.CANCELED)
OLDEST = 40  # of all jobs: only these have the status that no later one has
_BATCH = 25  # limit of BatchWriteItem

Send = Callable[[], dict[str, Any]]


def make_jobs() -> Iterator[Job]:
    """Generate jobs, each a second younger than the one before; the same ones in every run."""
    chance = random.Random(1)  # noqa: S311  no secret
    inputs = {"prompt": "a lighthouse at dawn, " * 8, "width": 1024, "height": 1024, "steps": 30, "cfg": 7.0}
    number = 0
    while True:
        job_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        created_at = STARTED_AT + timedelta(seconds=number)
        status = JobStatus.QUEUED if number < OLDEST else chance.choice(STATUSES)
        output = Output(
            filename="image_00001_.png",
            key=f"outputs/{job_id}/1/image_00001_.png",
            size=1_500_000,
            sha256="0" * 64,
            content_type="image/png",
        )
        workflow_id = RARE_WORKFLOW if chance.randrange(50) == 0 else WORKFLOW
        yield Job(
            id=job_id,
            owner=OWNERS[number % len(OWNERS)],
            workflow_id=workflow_id,
            workflow_version=1,
            template_key=f"workflows/{workflow_id}/1.json",
            status=status,
            inputs=inputs,
            seed=chance.getrandbits(50),
            correlation_id=job_id,
            created_at=created_at,
            completed_at=None if status is JobStatus.QUEUED else created_at + timedelta(seconds=9),
            outputs=(output,) if status is JobStatus.SUCCEEDED else None,
            log=tuple(LogLine(at=created_at, level=LogLevel.INFO, message=f"Step {i} of this job.") for i in range(4)),
        )
        number += 1


def fill(client: DynamoDBClient, table_name: str, jobs: Sequence[Job]) -> None:
    """Write ended jobs as they are stored."""
    for start in range(0, len(jobs), _BATCH):
        items = [
            job_item.fields_of(job, expires_at=job.created_at + timedelta(days=365))
            | {"log": job_item.pack_log(job.log)}
            for job in jobs[start : start + _BATCH]
        ]
        puts: Any = [{"PutRequest": {"Item": attributes.write(item)}} for item in items]
        client.batch_write_item(RequestItems={table_name: puts})


def requests_of(api: Api, jobs: Sequence[Job]) -> dict[str, Send]:
    """Prepare the requests to measure on a table with these jobs, the oldest first."""
    newest_of_user = next(job for job in reversed(jobs) if job.owner == USER)
    middle = jobs[len(jobs) // 2]
    deep = f"cursor={pagination.to_cursor(PagePosition(middle.created_at, middle.id))}"

    def submit() -> dict[str, Any]:
        return api.request("POST", "/jobs", body={"workflowId": "solid", "inputs": {"color": next(colors)}})()

    return {
        "submit: rate limit, cache lookup": submit,
        "statistics": api.request("GET", "/stats", key=ADMIN_KEY),
        "a job": api.request("GET", f"/jobs/{newest_of_user.id}"),
        "first page, user": api.request("GET", "/jobs"),
        "first page, admin": api.request("GET", "/jobs", key=ADMIN_KEY),
        "page in the middle, user": api.request("GET", "/jobs", query=deep),
        "page in the middle, admin": api.request("GET", "/jobs", query=deep, key=ADMIN_KEY),
        "status of most, user": api.request("GET", "/jobs", query="status=succeeded"),
        "status of most, admin": api.request("GET", "/jobs", query="status=succeeded", key=ADMIN_KEY),
        "status of old ones only, user": api.request("GET", "/jobs", query="status=queued"),
        "status of old ones only, admin": api.request("GET", "/jobs", query="status=queued", key=ADMIN_KEY),
        "rare workflow, user": api.request("GET", "/jobs", query=f"workflowId={RARE_WORKFLOW}"),
        "rare workflow, admin": api.request("GET", "/jobs", query=f"workflowId={RARE_WORKFLOW}", key=ADMIN_KEY),
    }


def measure(send: Send, clients: Clients) -> dict[str, Any]:
    """Send a request a few times. Times: medians in milliseconds; CPU is the handler's with its client of AWS."""
    cpu_seconds, seconds, made = [], [], []
    for _ in range(ROUNDS):
        with counting(clients) as calls:
            started, cpu_started = time.perf_counter(), time.thread_time()
            response = send()
            cpu_seconds.append(time.thread_time() - cpu_started)
            seconds.append(time.perf_counter() - started)
        made.append(calls)
    fewest = min(made, key=len)  # the first request, and one per minute, reads the API key
    meter = Meter(elsewhere="")
    with meter.running(), meter.part("request"):
        send()
    return {
        "jobs": json.loads(response["body"]).get("count", 1),
        "calls": dict(Counter(call.operation.rpartition(".")[2] for call in fewest)),
        "units": round(sum(count for unit, count in meter.units["request"].items() if "DynamoDB" in unit), 1),
        "bytes_received": sum(call.received for call in fewest),
        "cpu_ms": _median_ms(cpu_seconds),
        "ms": _median_ms(seconds),
    }


def emulator_query_ms(client: DynamoDBClient, table_name: str) -> float:
    """Time the embedded AWS at one Query for one item: its median, in milliseconds."""
    samples = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        client.query(
            TableName=table_name,
            IndexName=JOBS_BY_OWNER.name,
            KeyConditionExpression="jobOwner = :owner",
            ExpressionAttributeValues={":owner": {"S": USER}},
            Limit=1,
        )
        samples.append(time.perf_counter() - started)
    return _median_ms(samples)


def _median_ms(seconds: Sequence[float]) -> float:
    return round(statistics.median(seconds) * 1000, 2)


def main() -> None:
    """Measure at each size, print, write."""
    parser = arguments()
    parser.add_argument("--most", type=int, default=SIZES[-1], help="maximum number of jobs in the table")
    given = parser.parse_args()
    if given.most < SIZES[1]:
        parser.error(f"--most: at least {SIZES[1]:,}, the base of the comparison")
    silence_the_log()
    console = Console(width=150)
    endless = make_jobs()
    jobs: list[Job] = []
    results: dict[str, Any] = {}
    with emulated() as (wiring, clients):
        api = Api(wiring)
        api.request("POST", "/workflows", body=SOLID_WORKFLOW, key=ADMIN_KEY)()
        today = datetime.now(UTC).date()
        for day in range(wiring.settings.retention_days):  # one item of counts per day, whatever the counts
            wiring.job_counts.add({today - timedelta(days=day): DailyJobCounts(succeeded=1)}, batch_id=str(day))
        large = measure_large_workflows(api, wiring.settings, count=5 if given.quick else 100)
        for size in (size for size in SIZES if size <= (SIZES[1] if given.quick else given.most)):
            added = [next(endless) for _ in range(size - len(jobs))]
            fill(clients.dynamodb, wiring.settings.table_name, added)
            jobs += added
            measured = {name: measure(send, clients) for name, send in requests_of(api, jobs).items()}
            query_ms = emulator_query_ms(clients.dynamodb, wiring.settings.table_name)
            results[str(size)] = {"emulator_query_ms": query_ms, "requests": measured}
            console.print(_table(size, query_ms, measured))
    table = Table(
        "submit", "median ms", "median CPU ms", "AWS calls", title=f"with {large['workflows']} workflows of 1 MB"
    )
    for name, row in large["submits"].items():
        table.add_row(name, str(row["ms"]), str(row["cpu_ms"]), ", ".join(row["calls"]))
    console.print(table)
    write("growth", {"jobs": results, "large_workflows": large}, quick=given.quick)


def _table(size: int, query_ms: float, measured: dict[str, dict[str, Any]]) -> Table:
    columns = ("request", "jobs", "AWS calls", "DynamoDB units", "bytes from AWS", "CPU ms", "ms")
    table = Table(*columns, title=f"{size:,} jobs; one Query of the embedded AWS: {query_ms} ms")
    for name, row in measured.items():
        calls = ", ".join(f"{count} {operation}" for operation, count in row["calls"].items())
        figures = (row["units"], row["bytes_received"], row["cpu_ms"], row["ms"])
        table.add_row(name, str(row["jobs"]), calls, *map(str, figures))
    return table


if __name__ == "__main__":
    main()
