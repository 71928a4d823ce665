"""Compute the AWS cost of a million jobs without the GPU, from the calls of one job.

    make synth
    python bench/bench_cost.py [--quick]

Runs one job without run time from submission to stored output, counts it, reads its status once and delivers its
webhook, in this process and against the embedded AWS. Prints the bill line by line, the cost of each second of a run
and of a month without jobs, and writes results/cost.json.

Not included: storage (table and files), traffic out of AWS, the GPU, and idle executors.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, TextIO, cast

import boto3
import prices
from api import WORKFLOW, Api, emulated
from idle_cost import idle_units, resources_of
from metering import Meter
from one_process import executor
from receiver import receiver
from report import ROOT, arguments, write
from rich.console import Console
from rich.table import Table
from stack import wait_until

from executor.job import lease
from executor.log import logger as executor_log
from functions.events import job_metrics, webhook_delivery
from functions.logs import api_logger
from functions.logs import event_logger as background_log
from functions.routing import module_of
from functions.wiring.events import EventWiring
from functions.wiring.workflows import WorkflowWiring
from gateway.aws.resources import JOB_CHANGES, SCHEDULES
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings
from local.event_sources.dynamodb_stream import TableStream

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sqs import SQSClient

SUBMIT, RUN, COUNT, STATUS, WEBHOOK = "POST /jobs", "executor", "counting", "GET /jobs/{id}", "webhook"
PARTS = (SUBMIT, RUN, COUNT, STATUS, WEBHOOK)
TARGETS = {  # parts, and their maximum cost
    "from submission to stored output": ((SUBMIT, RUN, COUNT), 16.0),
    "with one read of the status and one webhook": (PARTS, 26.0),
}
INPUTS = {"prompt": "a lighthouse at dawn, oil on canvas, warm light from the left", "steps": 30, "seed": -1}
# With a million jobs spread over a month, this many share a batch of the stream.
JOBS_IN_A_BATCH = 1_000_000 * JOB_CHANGES.window_seconds / (30 * 24 * 3600)
# Values that cannot be counted here are estimates on the high side: the time of a function for its own code and for
# each call to AWS, including boto3; the response time of webhook receivers.
CODE_SECONDS, CALL_SECONDS, RECEIVER_SECONDS = 0.010, 0.010, 0.100
TRACED_SHARE = 0.01  # of requests: the default of a stage
TEMPLATES = ROOT / "build" / "cdk.out"
_LINE_BYTES = 26  # that CloudWatch adds to each
_WAIT_SECONDS = 30
_NO_CONTEXT = cast("LambdaContext", None)


class Bill:
    """What one job causes, in units that AWS bills."""

    def __init__(self) -> None:
        self.meter = Meter(elsewhere=RUN)
        self._access_line = access_line()
        self.units = self.meter.units

    @contextmanager
    def request(self, part: str, path: str) -> Iterator[None]:
        """Bill the request in the block."""
        with self.function(part, _lines_of(api_logger), memory_gb=0.5):
            yield
        self.units[part]["API Gateway request"] += 1
        self.units[part]["X-Ray trace"] += TRACED_SHARE
        self.log(part, io.StringIO(self._access_line.replace("$context.path", f"/prod{path}")))

    @contextmanager
    def function(
        self, part: str, log: io.StringIO, *, memory_gb: float = 0.25, other_seconds: float = 0.0
    ) -> Iterator[None]:
        """Bill the function call in the block. `other_seconds`: its wait for others than AWS."""
        metrics = io.StringIO()
        with self.meter.part(part), redirect_stdout(metrics):
            yield
        seconds = CODE_SECONDS + CALL_SECONDS * len(self.meter.calls[part]) + other_seconds
        self.units[part]["Lambda call"] += 1
        self.units[part]["Lambda GB-second"] += seconds * memory_gb
        self.log(part, log)
        self.log(part, metrics)

    def log(self, part: str, written: io.StringIO) -> None:
        """Bill lines of a log."""
        lines = written.getvalue().encode().splitlines()
        self.units[part]["CloudWatch Logs GB"] += sum(len(line) + _LINE_BYTES for line in lines) / 1e9

    def dollars(self, part: str) -> dict[str, float]:
        """Price a part, for a million jobs: by unit."""
        return {unit: count * prices.PER_MILLION[unit] for unit, count in self.units[part].items() if count}


class Scene:
    """Everything that a job passes through. The environment is that of the functions."""

    def __init__(self, bill: Bill, sqs: SQSClient, stream: TableStream) -> None:
        self._api = Api(WorkflowWiring(ApiSettings.from_environment(os.environ)))
        background = EventWiring(BackgroundSettings.from_environment(os.environ))
        self._count, self._deliver = (
            job_metrics.handler.make_handler(background),
            webhook_delivery.handler.make_handler(background),
        )
        self._clock = {
            schedule.function.name: import_module(module_of(schedule.function.name)).handler.make_handler(background)
            for schedule in SCHEDULES
        }
        self._webhook_queue_url = background.settings.webhook_queue_url
        self._bill = bill
        self._sqs = sqs
        self._stream = stream

    def run(self, callback_url: str) -> None:
        """Run and bill a job."""
        bill, executor_lines = self._bill, _lines_of(executor_log)
        job = {"workflowId": WORKFLOW, "inputs": INPUTS, "callbackUrl": callback_url}
        submit = self._api.request("POST", "/jobs", body=job)
        with bill.request(SUBMIT, "/jobs"):
            path = f"/jobs/{json.loads(submit()['body'])['jobId']}"
        wait_until(lambda: "DeleteMessage" in bill.meter.calls[RUN], "the end of the job", _WAIT_SECONDS)
        bill.log(RUN, executor_lines)
        status = self._api.request("GET", path)
        with bill.request(STATUS, path):
            status()
        self._bill_counting(bill)
        self._bill_webhook(bill)

    def look_at_the_clock(self) -> None:
        """Bill one call of each scheduled function."""
        for name, handler in self._clock.items():
            with self._bill.function(name, _lines_of(background_log)):
                handler({}, _NO_CONTEXT)

    def _bill_counting(self, bill: Bill) -> None:
        records, line_of_the_job = self._stream.read(JOB_CHANGES.batch_size), _lines_of(background_log)
        with bill.function(COUNT, io.StringIO()):
            self._count({"Records": records}, _NO_CONTEXT)
        for unit in bill.units[COUNT]:
            bill.units[COUNT][unit] /= JOBS_IN_A_BATCH
        bill.log(COUNT, line_of_the_job)

    def _bill_webhook(self, bill: Bill) -> None:
        received = self._sqs.receive_message(QueueUrl=self._webhook_queue_url, WaitTimeSeconds=_WAIT_SECONDS // 2)
        (message,) = received["Messages"]
        event = {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": {"ApproximateReceiveCount": "1"},
                }
            ]
        }
        with bill.function(WEBHOOK, _lines_of(background_log), other_seconds=RECEIVER_SECONDS):
            response = self._deliver(event, _NO_CONTEXT)
        if response["batchItemFailures"]:
            raise RuntimeError("the webhook was not delivered")
        self._sqs.delete_message(QueueUrl=self._webhook_queue_url, ReceiptHandle=message["ReceiptHandle"])
        # The message of the rule, and the receive and delete calls of Lambda.
        for unit in ("SQS request", "SQS request with a group"):
            bill.units[WEBHOOK][unit] += 3


def access_line() -> str:
    """Return a line of the deployed access log with values of maximum length, except the path."""
    (line,) = (
        resource["Properties"]["AccessLogSetting"]["Format"]
        for resource in resources_of(TEMPLATES)
        if resource["Type"] == "AWS::ApiGateway::Stage"
    )
    lengths = {"requestId": 36, "identity.sourceIp": 15, "httpMethod": 4, "status": 3, "responseLength": 4}
    lengths |= {"responseLatency": 3, "integration.latency": 3, "error.responseType": 1}
    for name, length in lengths.items():
        line = line.replace(f"$context.{name}", "x" * length)
    if line.count("$") != 1:
        raise RuntimeError(f"the access log has fields of unknown length: {line}")
    return str(line)


def bill_one_job() -> Bill:
    """Run two jobs and bill the second: some calls only occur in a new process."""
    bill = Bill()
    with receiver() as (callback_url, _), emulated() as (_, clients), bill.meter.running(), executor():
        os.environ.update(WEBHOOK_SECRET="x" * 32, WEBHOOK_ALLOW_HTTP="true", WEBHOOK_ALLOW_LOOPBACK="true")
        table = clients.dynamodb.describe_table(TableName=os.environ["TABLE_NAME"])["Table"]
        stream = TableStream(boto3.client("dynamodbstreams"), table["LatestStreamArn"])
        scene = Scene(bill, clients.sqs, stream)
        scene.run(callback_url)
        scene.look_at_the_clock()
        bill.meter.forget()
        scene.run(callback_url)
        scene.look_at_the_clock()
    return bill


def _lines_of(logger: Logger) -> io.StringIO:
    """Redirect a log into the returned buffer."""
    lines = io.StringIO()
    cast("logging.StreamHandler[TextIO]", logger.registered_handler).setStream(lines)
    return lines


def main() -> None:
    """Measure, print and write the results."""
    given = arguments().parse_args()
    bill = bill_one_job()
    console = Console(width=120)
    table = Table("part", "unit", "for a job", "$ for a million jobs")
    for part in PARTS:
        for unit, dollars in bill.dollars(part).items():
            table.add_row(part, unit, f"{bill.units[part][unit]:.6g}", f"{dollars:.2f}")
        table.add_row(part, "", "", f"[bold]{sum(bill.dollars(part).values()):.2f}", end_section=True)
    console.print(table)
    totals = {name: sum(sum(bill.dollars(part).values()) for part in parts) for name, (parts, _) in TARGETS.items()}
    idle = _price_month(idle_units(TEMPLATES, bill.units))
    table = Table("a month without jobs", "units", "$", "$ beyond the free tier")
    for unit, (units, dollars, beyond) in idle.items():
        table.add_row(unit, f"{units:.6g}", f"{dollars:.2f}", f"{beyond:.2f}")
    console.print(table)
    totals["each second that a run takes"] = _run_dollars_per_second()
    totals["a month without jobs"] = sum(dollars for _, dollars, _ in idle.values())
    totals["a month without jobs, beyond what is free"] = sum(beyond for _, _, beyond in idle.values())
    result = {
        "prices": {"region": prices.REGION, "as_of": prices.AS_OF},
        "calls": {part: bill.meter.calls[part] for part in PARTS},
        "dollars_per_million_jobs": {
            part: {unit: round(dollars, 2) for unit, dollars in bill.dollars(part).items()} for part in PARTS
        },
        "dollars_per_idle_month": {unit: round(dollars, 2) for unit, (_, dollars, _) in idle.items()},
        "totals": {name: round(total, 2) for name, total in totals.items()},
    }
    write("cost", result, quick=given.quick)
    for name, total in totals.items():
        target = f" (target: under ${TARGETS[name][1]:g})" if name in TARGETS else ""
        console.print(f"{name}: ${total:.2f}{target}")


def _run_dollars_per_second() -> float:
    """Price a second of a million runs: lease renewal and visibility change. The billed job has no run time."""
    renewals = 1 / lease.RENEW_SECONDS
    hidings = lease.VISIBILITY_CHANGES_PER_LEASE / ExecutorSettings.model_fields["lease_seconds"].default
    dollars = renewals * prices.PER_MILLION["DynamoDB write unit"] + hidings * prices.PER_MILLION["SQS request"]
    return float(dollars)


def _price_month(units: Mapping[str, float]) -> dict[str, tuple[float, float, float]]:
    """Price the units of a month: amount, dollars, and dollars beyond the free tier."""
    priced = {}
    for unit, count in units.items():
        price = prices.PER_MONTH.get(unit, prices.PER_MILLION.get(unit, 0.0) / 1e6)
        priced[unit] = (count, count * price, max(0.0, count - prices.ALWAYS_FREE.get(unit, 0)) * price)
    return priced


if __name__ == "__main__":
    main()
