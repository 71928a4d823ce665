"""A table's stream that starts a function, as Lambda's event source mapping for DynamoDB streams does.

It hands over all records, without waiting for more: what a function is not meant to get, it passes over.
Event: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from __future__ import annotations

import base64
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from gateway.redacting_log import stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef

    from local.event_sources.function import LocalFunction

_LOOK_SECONDS = 0.3
_AFTER_ERROR_SECONDS = 1.0

logger = logging.getLogger(__name__)


class StreamSource:
    """Hands batches over until `stopping` is set. One that fails comes again, the very same, before any other."""

    def __init__(
        self, stream: TableStream, function: LocalFunction, batch_size: int, stopping: threading.Event
    ) -> None:
        self._stream = stream
        self._function = function
        self._batch_size = batch_size
        self._stopping = stopping
        self._batch: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, name=f"stream-{function.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, *, seconds: float) -> bool:
        """Hand over what is left, for so long. To be called when `stopping` is set and nobody writes any more.

        False when there is still something left.
        """
        deadline = time.monotonic() + seconds
        self._thread.join(max(seconds, 0))
        try:
            while not self._thread.is_alive() and time.monotonic() < deadline:
                if not self._hand_over():
                    return True
        except Exception as error:  # noqa: BLE001  whatever it was: something is left
            self._log(error)
        return False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pause_seconds = 0 if self._hand_over() else _LOOK_SECONDS
            except Exception as error:  # noqa: BLE001  whatever it was: the batch comes again
                self._log(error)
                pause_seconds = _AFTER_ERROR_SECONDS
            self._stopping.wait(pause_seconds)

    def _log(self, error: Exception) -> None:
        # Where, but not what: records hold what jobs were given.
        logger.error("%s failed\n%s", self._function.name, stack_of(error))

    def _hand_over(self) -> bool:
        """Hand one batch over; False when there is none yet."""
        self._batch = self._batch or self._stream.read(self._batch_size)
        if not self._batch:
            return False
        self._function.invoke({"Records": self._batch})
        self._batch = []
        return True


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
