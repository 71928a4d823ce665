"""Behaviour of the table's stream as what starts a function in local mode."""

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
from tests.local.test_background import RESOURCE, Recorder, boom

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients


class Table:
    """A table whose stream starts a function."""

    def __init__(self, environment: dict[str, str], clients: Clients) -> None:
        self._name = environment["TABLE_NAME"]
        self._client = clients.dynamodb

    def write(self, *sort_keys: str) -> None:
        """Write an item under each of these sort keys."""
        for sort_key in sort_keys:
            self._client.put_item(TableName=self._name, Item={"pk": {"S": "a"}, "sk": {"S": sort_key}})

    @contextmanager
    def source(self, recorder: Recorder, *, stopping: threading.Event | None = None) -> Iterator[StreamSource]:
        """Let the stream start a function, with two records at once."""
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
    """Give the table of this test."""
    return Table(aws, aws_clients)


def written(event: dict[str, Any]) -> str:
    """Pick the sort keys of a batch."""
    return "".join(record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"])


def batches(recorder: Recorder) -> list[str]:
    """Pick the sort keys of each batch so far."""
    return [written(event) for event in recorder.events]


def test_writes_start_the_function(table: Table) -> None:
    """In order, each once; those from before the start as well."""
    recorder = Recorder()
    table.write("a", "b", "c")
    with table.source(recorder):
        wait_until(lambda: batches(recorder) == ["ab", "c"], 5)
        table.write("d")
        wait_until(lambda: batches(recorder)[2:] == ["d"], 5)


def test_a_batch_that_fails_comes_again_before_any_other(table: Table) -> None:
    """The very same, as the function knows it by its records."""
    table.write("a", "b", "c")
    recorder = Recorder(lambda event: boom(event) if len(recorder.events) == 1 else None)
    with table.source(recorder):
        wait_until(lambda: batches(recorder) == ["ab", "ab", "c"], 5)
    assert recorder.events[0] == recorder.events[1]


def test_at_the_end_all_is_handed_over(table: Table) -> None:
    """What was written up to then would be forgotten."""
    recorder, stopping = Recorder(), threading.Event()
    with table.source(recorder, stopping=stopping) as source:
        stopping.set()
        table.write(*"abcde")
        assert source.finish(seconds=5)
    assert "".join(batches(recorder)) == "abcde"


def test_an_end_with_something_left_is_told(table: Table) -> None:
    """Because the function fails, or takes too long."""
    stopping = threading.Event()
    stopping.set()
    table.write("a", "b", "c")
    with table.source(Recorder(boom), stopping=stopping) as source:
        assert not source.finish(seconds=5)
    slow = Recorder(lambda _event: time.sleep(0.2))
    with table.source(slow, stopping=stopping) as source:
        assert not source.finish(seconds=0.1)
    assert batches(slow) == ["ab"]
