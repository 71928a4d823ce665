"""The stream of the table as the event source of a function in local mode."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.event_sources.dynamodb_stream import StreamSource, TableStream
from local.event_sources.function import LocalFunction
from tests.local.command import wait_until
from tests.local.test_event_sources import RESOURCE, Recorder, fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients


class Table:
    """A table whose stream calls a function."""

    def __init__(self, environment: dict[str, str], clients: Clients) -> None:
        self._name = environment["TABLE_NAME"]
        self._client = clients.dynamodb

    def write(self, *sort_keys: str) -> None:
        """Write an item under each of these sort keys."""
        for sort_key in sort_keys:
            self._client.put_item(TableName=self._name, Item={"pk": {"S": "a"}, "sk": {"S": sort_key}})

    @contextmanager
    def source(self, recorder: Recorder, *, stopping: threading.Event | None = None) -> Iterator[StreamSource]:
        """Run the event source of the stream, with batches of two records."""
        stop = stopping or threading.Event()
        arn = self._client.describe_table(TableName=self._name)["Table"]["LatestStreamArn"]
        stream = TableStream(boto3.client("dynamodbstreams"), arn)
        source = StreamSource(stream, LocalFunction(RESOURCE, recorder), 2, stop)
        source.start()
        try:
            yield source
        finally:
            stop.set()


@pytest.fixture
def table(aws: dict[str, str], aws_clients: Clients) -> Table:
    """Return the table of this test."""
    return Table(aws, aws_clients)


def written(event: dict[str, Any]) -> str:
    """Return the sort keys of a batch."""
    return "".join(record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"])


def batches(recorder: Recorder) -> list[str]:
    """Return the sort keys of each batch so far."""
    return [written(event) for event in recorder.events]


def test_writes_call_the_function(table: Table) -> None:
    """In order, each once, including writes before the start."""
    recorder = Recorder()
    table.write("a", "b", "c")
    with table.source(recorder):
        wait_until(lambda: batches(recorder) == ["ab", "c"], 5)
        table.write("d")
        wait_until(lambda: batches(recorder)[2:] == ["d"], 5)


def test_a_failed_batch_is_retried_before_any_other(table: Table) -> None:
    """Unchanged, because the function identifies it by its records."""
    table.write("a", "b", "c")
    recorder = Recorder(lambda event: fail(event) if len(recorder.events) == 1 else None)
    with table.source(recorder):
        wait_until(lambda: batches(recorder) == ["ab", "ab", "c"], 5)
    assert recorder.events[0] == recorder.events[1]


def test_finish_processes_all_records(table: Table) -> None:
    """Otherwise the last writes would never be processed."""
    recorder, stopping = Recorder(), threading.Event()
    with table.source(recorder, stopping=stopping) as source:
        stopping.set()
        table.write(*"abcde")
        assert source.finish(seconds=5)
    assert "".join(batches(recorder)) == "abcde"


def test_finish_reports_remaining_records(table: Table) -> None:
    """When the function fails, or takes too long."""
    stopping = threading.Event()
    stopping.set()
    table.write("a", "b", "c")
    with table.source(Recorder(fail), stopping=stopping) as source:
        assert not source.finish(seconds=5)
    slow = Recorder(lambda _event: time.sleep(0.2))
    with table.source(slow, stopping=stopping) as source:
        assert not source.finish(seconds=0.1)
    assert batches(slow) == ["ab"]
