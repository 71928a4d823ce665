"""Reading the stream of a table, and calling a function with its records, in local mode."""

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

    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

    from gateway.aws.clients import Clients


class ExpiredOnce:
    """A client whose next call fails because of its iterator."""

    def __init__(self, client: DynamoDBStreamsClient, error: str) -> None:
        self._client = client
        self._error: str | None = error

    def get_records(self, **arguments: Any) -> Any:  # noqa: ANN401  like the client
        """Fail once."""
        if self._error is None:
            return self._client.get_records(**arguments)
        error, self._error = getattr(self._client.exceptions, self._error), None
        raise error({"Error": {"Code": error.__name__, "Message": ""}}, "GetRecords")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  like the client
        return getattr(self._client, name)


@pytest.fixture
def arn(aws: dict[str, str], aws_clients: Clients) -> str:
    """Return the ARN of the stream of the table."""
    return aws_clients.dynamodb.describe_table(TableName=aws["TABLE_NAME"])["Table"]["LatestStreamArn"]


def put_numbers(aws: dict[str, str], clients: Clients, *numbers: int) -> None:
    """Write an item once per number."""
    for number in numbers:
        item = {"pk": {"S": "a"}, "sk": {"S": "b"}, "n": {"N": str(number)}}
        clients.dynamodb.put_item(TableName=aws["TABLE_NAME"], Item=item)


def numbers_of(records: list[dict[str, Any]]) -> list[int]:
    """Return the number of the item after each write."""
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in records]


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


def test_every_write_is_read_once_in_order(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """From the first record on, in batches."""
    put_numbers(aws, aws_clients, 1, 2, 3)
    stream = TableStream(boto3.client("dynamodbstreams"), arn)
    assert [numbers_of(stream.read(2)) for _ in range(3)] == [[1, 2], [3], []]
    put_numbers(aws, aws_clients, 4)
    assert numbers_of(stream.read(2)) == [4]


def test_records_have_the_form_of_lambda(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """Both images, and only JSON: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html."""
    put_numbers(aws, aws_clients, 1, 2)
    _, record = TableStream(boto3.client("dynamodbstreams"), arn).read(10)
    assert (record["eventName"], record["eventSource"], record["eventSourceARN"]) == ("MODIFY", "aws:dynamodb", arn)
    assert record["dynamodb"]["Keys"] == {"pk": {"S": "a"}, "sk": {"S": "b"}}
    assert [record["dynamodb"][image]["n"] for image in ("OldImage", "NewImage")] == [{"N": "1"}, {"N": "2"}]
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float)
    assert {"eventID", "eventVersion", "awsRegion"} <= record.keys()


@pytest.mark.parametrize("error", ["ExpiredIteratorException", "TrimmedDataAccessException"])
def test_an_expired_iterator_loses_no_record(aws: dict[str, str], aws_clients: Clients, arn: str, error: str) -> None:
    """Reading continues after the last record: none is repeated or skipped, as after a long sleep of the machine."""
    client: Any = boto3.client("dynamodbstreams")
    stream = TableStream(client, arn)
    put_numbers(aws, aws_clients, 1, 2)
    assert numbers_of(stream.read(10)) == [1, 2]
    put_numbers(aws, aws_clients, 3)
    stream._client = ExpiredOnce(client, error)  # type: ignore[assignment]  # the used part of a client
    assert numbers_of(stream.read(10)) == [3]


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
