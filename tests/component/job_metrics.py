"""The job metrics function, invoked with the real stream records of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from functions.events import job_metrics
from functions.wiring.events import EventWiring
from gateway.aws.resources import JOB_CHANGES
from gateway.settings import BackgroundSettings
from local.event_sources.dynamodb_stream import TableStream
from tests.component.event_functions import NO_CONTEXT

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


class JobMetricsFunction:
    """Reads a table's stream from its start, and passes the records to the function."""

    def __init__(self, environment: dict[str, str], clients: Clients) -> None:
        background = EventWiring(BackgroundSettings.from_environment(environment))
        background._clients = clients  # creating clients takes longer than most tests
        self._handler = job_metrics.handler.make_handler(background)
        table = clients.dynamodb.describe_table(TableName=environment["TABLE_NAME"])["Table"]
        self._stream = TableStream(boto3.client("dynamodbstreams"), table["LatestStreamArn"])

    def records(self) -> list[dict[str, Any]]:
        """Return all stream records since the last call."""
        records: list[dict[str, Any]] = []
        while batch := self._stream.read(JOB_CHANGES.batch_size):
            records += batch
        return records

    def count(self, records: list[dict[str, Any]]) -> None:
        """Invoke the function with one batch."""
        self._handler({"Records": records}, NO_CONTEXT)

    def catch_up(self) -> None:
        """Invoke the function with all stream records since the last call, in batches."""
        while batch := self._stream.read(JOB_CHANGES.batch_size):
            self.count(batch)
