"""Runs all functions that no request calls until SIGTERM: `python -m local.event_sources PREFIX`.

SIGTERM is for when nothing else writes any more: what the table's stream has told until then is handed over first.

One process for all of them. A function's handler runs twice at once only if it says that it can; different ones do.
They share nothing but clients, and the log.

PREFIX: what stands before the names of queues, as it was given to `provision`. The environment is that of the
functions.
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
from local.event_sources.dynamodb_stream import StreamSource, TableStream
from local.event_sources.function import load_function
from local.event_sources.schedule import ScheduleSource
from local.event_sources.sqs import QueueSource
from local.provision import queue_url
from local.recount_jobs import leave_mark

_FINISH_SECONDS = 0.8
_KEPT_CONNECTIONS = 8


def main(prefix: str) -> None:
    """Start every source, and stop them when asked to."""
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Each queue is waited on by one connection all the time; the others are for what is done with its messages.
    clients = Clients(max_connections=len(QUEUE_SOURCES) + _KEPT_CONNECTIONS)
    sqs = clients.polling_sqs
    resources = {queue.function for queue in QUEUE_SOURCES} | {schedule.function for schedule in SCHEDULES}
    functions = {resource: load_function(resource) for resource in resources}
    for queue in QUEUE_SOURCES:
        url = queue_url(sqs, f"{prefix}{queue.queue_name}")
        QueueSource(sqs, url, functions[queue.function], queue.batch_size, stopping).start()
    for schedule in SCHEDULES:
        ScheduleSource(functions[schedule.function], schedule.every_minutes * 60, stopping).start()
    table_name = f"{prefix}{TABLE.name}"
    stream_arn = clients.dynamodb.describe_table(TableName=table_name)["Table"]["LatestStreamArn"]
    stream = TableStream(boto3.client("dynamodbstreams"), stream_arn)
    job_changes = StreamSource(stream, load_function(JOB_CHANGES.function), JOB_CHANGES.batch_size, stopping)
    job_changes.start()
    stopping.wait()
    deadline = time.monotonic() + _FINISH_SECONDS
    finished = [function.finish(seconds=deadline - time.monotonic()) for function in functions.values()]
    # Last, as the others write too.
    if all(finished) and job_changes.finish(seconds=deadline - time.monotonic()):
        leave_mark(clients.dynamodb, table_name)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    # It warns of each connection that it does not keep. The functions keep as many as one call needs, which is right in
    # Lambda; here, calls that come together make some more, for a moment.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    main(sys.argv[1])
    # Nothing is buffered. Python's own way out frees all that was imported, which takes longer than all of the above.
    os._exit(0)
