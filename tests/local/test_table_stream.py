"""Reading the stream of a table in the embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.event_sources.dynamodb_stream import TableStream

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

    from gateway.aws.clients import Clients


class ExpiredOnce:
    """A client whose next call fails because of the iterator."""

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


def put(aws: dict[str, str], clients: Clients, *numbers: int) -> None:
    """Write an item once per number."""
    for number in numbers:
        item = {"pk": {"S": "a"}, "sk": {"S": "b"}, "n": {"N": str(number)}}
        clients.dynamodb.put_item(TableName=aws["TABLE_NAME"], Item=item)


def allowed(records: list[dict[str, Any]]) -> list[int]:
    """Return the number of the item after each write."""
    return [int(record["dynamodb"]["NewImage"]["n"]["N"]) for record in records]


def test_every_write_is_read_once_in_order(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """From the first record on, in batches."""
    put(aws, aws_clients, 1, 2, 3)
    stream = TableStream(boto3.client("dynamodbstreams"), arn)
    assert [allowed(stream.read(2)) for _ in range(3)] == [[1, 2], [3], []]
    put(aws, aws_clients, 4)
    assert allowed(stream.read(2)) == [4]


def test_records_have_the_form_of_lambda(aws: dict[str, str], aws_clients: Clients, arn: str) -> None:
    """Both images, and only JSON: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html."""
    put(aws, aws_clients, 1, 2)
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
    put(aws, aws_clients, 1, 2)
    assert allowed(stream.read(10)) == [1, 2]
    put(aws, aws_clients, 3)
    stream._client = ExpiredOnce(client, error)  # type: ignore[assignment]  # the used part of a client
    assert allowed(stream.read(10)) == [3]
