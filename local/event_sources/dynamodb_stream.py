"""Call a function with the stream of a table, as the event source mapping of Lambda for DynamoDB streams does.

It passes all records at once, without a batching window and without filters: functions ignore other records.
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

_POLL_SECONDS = 0.3
_AFTER_ERROR_SECONDS = 1.0

logger = logging.getLogger(__name__)


class StreamSource:
    """Calls the function with batches until `stopping` is set. A failed batch is retried before any other."""

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
        """Start the thread."""
        self._thread.start()

    def finish(self, *, seconds: float) -> bool:
        """Process the remaining records, at most this long; return whether none remain.

        Call this when `stopping` is set and nothing writes any more.
        """
        deadline = time.monotonic() + seconds
        self._thread.join(max(seconds, 0))
        try:
            while not self._thread.is_alive() and time.monotonic() < deadline:
                if not self._process_batch():
                    return True
        except Exception as error:  # noqa: BLE001  after any error records remain
            self._log(error)
        return False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                delay_seconds = 0 if self._process_batch() else _POLL_SECONDS
            except Exception as error:  # noqa: BLE001  after any error the batch is retried
                self._log(error)
                delay_seconds = _AFTER_ERROR_SECONDS
            self._stopping.wait(delay_seconds)

    def _log(self, error: Exception) -> None:
        # Only the stack: records contain inputs of jobs.
        logger.error("function failed: %s\n%s", self._function.name, stack_of(error))

    def _process_batch(self) -> bool:
        """Process one batch; return False when there are no records."""
        self._batch = self._batch or self._stream.read(self._batch_size)
        if not self._batch:
            return False
        self._function.invoke({"Records": self._batch})
        self._batch = []
        return True


class TableStream:
    """Reads a stream in order, every record once, from the oldest stored one. ministack has one shard per stream."""

    def __init__(self, client: DynamoDBStreamsClient, stream_arn: str) -> None:
        self._client = client
        self._arn = stream_arn
        self._last_read = ""  # sequence numbers of a shard are sorted
        self._iterator = self._oldest_iterator()

    def read(self, limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` next records in the form that Lambda passes; an empty list when there are none."""
        while records := self._get_records(limit):
            new = [record for record in records if record["dynamodb"]["SequenceNumber"] > self._last_read]
            if new:
                self._last_read = new[-1]["dynamodb"]["SequenceNumber"]
                return [_lambda_record(record, self._arn) for record in new]
        return []

    def _get_records(self, limit: int) -> list[RecordTypeDef]:
        try:
            response = self._client.get_records(ShardIterator=self._iterator, Limit=limit)
        except (
            # The machine slept, or was very busy. Read again from the oldest record; `read` skips known ones.
            self._client.exceptions.ExpiredIteratorException,
            self._client.exceptions.TrimmedDataAccessException,
        ):
            self._iterator = self._oldest_iterator()
            return self._get_records(limit)
        self._iterator = response["NextShardIterator"]
        return response["Records"]

    def _oldest_iterator(self) -> str:
        (shard,) = self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]["Shards"]
        return self._client.get_shard_iterator(
            StreamArn=self._arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]


def _lambda_record(record: RecordTypeDef, arn: str) -> dict[str, Any]:
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
