"""A table's stream in the embedded AWS, read as Lambda reads it: in order, every record once."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef


class TableStream:
    """Reads on from the oldest record that is kept. ministack has one shard for each stream."""

    def __init__(self, client: DynamoDBStreamsClient, stream_arn: str) -> None:
        self._client = client
        self._arn = stream_arn
        self._last_read = ""  # sequence numbers of a shard sort as they were written
        self._iterator = self._from_the_oldest()

    def read(self, limit: int) -> list[dict[str, Any]]:
        """Take the next records, so many at most, as Lambda hands them over; none when there are none yet."""
        while records := self._next(limit):
            new = [record for record in records if record["dynamodb"]["SequenceNumber"] > self._last_read]
            if new:
                self._last_read = new[-1]["dynamodb"]["SequenceNumber"]
                return [_as_lambda_does(record, self._arn) for record in new]
        return []

    def _next(self, limit: int) -> list[RecordTypeDef]:
        try:
            answer = self._client.get_records(ShardIterator=self._iterator, Limit=limit)
        except (
            # The machine slept, or was very busy: what is left begins later, or with what was read already.
            self._client.exceptions.ExpiredIteratorException,
            self._client.exceptions.TrimmedDataAccessException,
        ):
            self._iterator = self._from_the_oldest()
            return self._next(limit)
        self._iterator = answer["NextShardIterator"]
        return answer["Records"]

    def _from_the_oldest(self) -> str:
        (shard,) = self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]
        return self._client.get_shard_iterator(
            StreamArn=self._arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]


def _as_lambda_does(record: RecordTypeDef, arn: str) -> dict[str, Any]:
    written = record["dynamodb"]
    images = {name: _as_json(written[name]) for name in ("OldImage", "NewImage") if name in written}
    written_at = written["ApproximateCreationDateTime"].timestamp()
    return {
        **record,
        "eventSourceARN": arn,
        "dynamodb": {**written, **images, "ApproximateCreationDateTime": written_at},
    }


def _as_json(image: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in image.items()
    }
