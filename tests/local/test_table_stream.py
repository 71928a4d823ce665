"""Reading a table's stream in the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.event_sources.dynamodb_stream import TableStream

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

    from gateway.aws.clients import Clients


class Forgetful:
    """A client of streams whose next call does not know the iterator any more."""

    def __init__(self, client: DynamoDBStreamsClient, error: str) -> None:
        self._client = client
        self._error: str | None = error

    def get_records(self, **arguments: Any) -> Any:  # noqa: ANN401  as the client's own
        """Fail once."""
        if self._error is None:
            return self._client.get_records(**arguments)
        error, self._error = getattr(self._client.exceptions, self._error), None
        raise error({"Error": {"Code": error.__name__, "Message": ""}}, "GetRecords")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  as the client's own
        return getattr(self._client, name)


@pytest.fixture
def arn(aws: dict[str, str], aws_clients: Clients) -> str:
    """Name the stream of the table."""
    return aws_clients.dynamodb.describe_table(TableName=aws["TABLE_NAME"])["Table"]["LatestStreamArn"]


def put(aws: dict[str, str], clients: Clients, *numbers: int) -> None:
    """Write an item again and again."""
    for number in numbers:
        item = {"pk": {"S": "a"}, "sk": {"S": "b"}, "n": {"N": str(number)}}
        clients.dynamodb.put_item(TableName=aws["TABLE_NAME"], Item=item)


def allowed(records: list[dict[str, Any]]) -> list[int]:
    """Pick what the item was after each write."""
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in records]


def test_every_write_is_read_once_in_order(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """From the first on, and in batches."""
    put(aws, aws_clients, 1, 2, 3)
    stream = TableStream(boto3.client("dynamodbstreams"), arn)
    assert [allowed(stream.read(2)) for _ in range(3)] == [[1, 2], [3], []]
    put(aws, aws_clients, 4)
    assert allowed(stream.read(2)) == [4]


def test_records_are_as_lambda_hands_them_over(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """Both images, and nothing that is not JSON: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html."""
    put(aws, aws_clients, 1, 2)
    _, record = TableStream(boto3.client("dynamodbstreams"), arn).read(10)
    assert (record["eventName"], record["eventSource"], record["eventSourceARN"]) == ("MODIFY", "aws:dynamodb", arn)
    assert record["dynamodb"]["Keys"] == {"pk": {"S": "a"}, "sk": {"S": "b"}}
    assert [record["dynamodb"][image]["n"] for image in ("OldImage", "NewImage")] == [{"N": "1"}, {"N": "2"}]
    assert isinstance(record["dynamodb"]["ApproximateCreationDateTime"], float)
    assert {"eventID", "eventVersion", "awsRegion"} <= record.keys()


@pytest.mark.parametrize("error", ["ExpiredIteratorException", "TrimmedDataAccessException"])
def test_a_long_sleep_of_the_machine_changes_nothing(
    aws: dict[str, str], aws_clients: Clients, arn: str, error: str
) -> None:
    """Where it was is told by the last record that it read: that one does not come again, nor is one left out."""
    client: Any = boto3.client("dynamodbstreams")
    stream = TableStream(client, arn)
    put(aws, aws_clients, 1, 2)
    assert allowed(stream.read(10)) == [1, 2]
    put(aws, aws_clients, 3)
    stream._client = Forgetful(client, error)  # type: ignore[assignment]  # as much of a client as is used
    assert allowed(stream.read(10)) == [3]
