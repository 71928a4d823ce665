"""Run all event sources until SIGTERM: `python -m local.event_sources PREFIX`.

Send SIGTERM when nothing else writes any more: the rest of the stream of the table is processed first.

All functions run in this process, concurrently with each other. The calls of one function are concurrent only if it
has a max_concurrency. They share nothing but clients and the log.

PREFIX: precedes the names of queues, as passed to `provision`. The environment is that of the functions.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

import boto3

from gateway.aws.clients import Clients
from gateway.aws.resources import JOB_CHANGES, QUEUE_SOURCES, SCHEDULES, TABLE
from gateway.clock import SYSTEM_CLOCK
from gateway.settings import BackgroundSettings
from local.event_sources.dynamodb_stream import StreamSource, TableStream
from local.event_sources.function import load_function
from local.event_sources.lifecycle import Lifecycle
from local.event_sources.schedule import ScheduleSource
from local.event_sources.sqs import QueueSource
from local.provision import queue_url
from local.recount_jobs import mark_counted

_FINISH_SECONDS = 0.8
_HANDLER_CONNECTIONS = 8


def main(prefix: str) -> None:
    """Start every event source, and stop them on SIGTERM."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One connection per queue is always in a long poll; the others are for the functions.
    clients = Clients(max_connections=len(QUEUE_SOURCES) + _HANDLER_CONNECTIONS)
    sqs = clients.polling_sqs
    resources = {queue.function for queue in QUEUE_SOURCES} | {schedule.function for schedule in SCHEDULES}
    functions = {resource: load_function(resource) for resource in resources}
    for queue in QUEUE_SOURCES:
        url = queue_url(sqs, f"{prefix}{queue.queue_name}")
        QueueSource(sqs, url, functions[queue.function], queue.batch_size, stopping).start()
    for schedule in SCHEDULES:
        ScheduleSource(functions[schedule.function], schedule.every_minutes * 60, stopping).start()
    settings = BackgroundSettings.from_environment(os.environ)
    Lifecycle(clients.s3, settings.bucket_name, settings.retention_days, SYSTEM_CLOCK).start(stopping)
    table_name = f"{prefix}{TABLE.name}"
    stream_arn = clients.dynamodb.describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    stream = TableStream(boto3.client("dynamodbstreams"), stream_arn)
    job_changes = StreamSource(stream, load_function(JOB_CHANGES.function), JOB_CHANGES.batch_size, stopping)
    job_changes.start()
    stopping.wait()
    deadline = time.monotonic() + _FINISH_SECONDS
    finished = [function.finish(seconds=deadline - time.monotonic()) for function in functions.values()]
    # Last, because the other functions write to the table.
    if all(finished) and job_changes.finish(seconds=deadline - time.monotonic()):
        mark_counted(clients.dynamodb, table_name)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    # urllib3 warns of connections beyond its pool. The pools of the functions fit one call, as in Lambda; concurrent
    # calls open more for a moment.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    main(sys.argv[1])
    # Nothing is buffered. A normal exit frees all imported modules, which takes longer than everything above.
    os._exit(0)
