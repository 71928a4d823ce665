"""A queue that starts a function, as Lambda's event source mapping for SQS does.

Event and answer: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from gateway.redacting_log import stack_of

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from local.event_sources.function import LocalFunction

_LONG_POLL_SECONDS = 20
_AFTER_ERROR_SECONDS = 2.0

logger = logging.getLogger(__name__)


class QueueSource:
    """Takes batches from a queue until `stopping` is set; deletes what the function did not report as failed.

    It looks for the next batch only when the function has a place free for it.
    """

    def __init__(
        self, client: SQSClient, url: str, function: LocalFunction, batch_size: int, stopping: threading.Event
    ) -> None:
        self._client = client
        self._url = url
        self._function = function
        self._batch_size = batch_size
        self._stopping = stopping
        self._free = threading.BoundedSemaphore(function.slots)
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self._arn = answer["Attributes"]["QueueArn"]

    def start(self) -> None:
        """Begin. The thread is a daemon: a long poll must not hold the process back when it stops."""
        threading.Thread(target=self._run, name=f"queue-{self._function.name}", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._free.acquire()
            messages: list[MessageTypeDef] = []
            try:
                messages = self._received()
            except (BotoCoreError, ClientError) as error:
                logger.warning("queue %s: %s", self._arn, type(error).__name__)
                self._stopping.wait(_AFTER_ERROR_SECONDS)
            if messages and not self._stopping.is_set():  # what comes too late comes back
                threading.Thread(target=self._deal_with, args=[messages], daemon=True).start()
            else:
                self._free.release()

    def _received(self) -> list[MessageTypeDef]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=_LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    def _deal_with(self, messages: list[MessageTypeDef]) -> None:
        try:
            failed = self._failed([self._record(message) for message in messages])
            for message in messages:
                if message["MessageId"] not in failed:
                    self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        except (BotoCoreError, ClientError) as error:
            logger.warning("queue %s: %s", self._arn, type(error).__name__)
        finally:
            self._free.release()

    def _record(self, message: MessageTypeDef) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": message.get("MessageAttributes", {}),
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._client.meta.region_name,
        }

    def _failed(self, records: list[dict[str, Any]]) -> set[str]:
        """Let the function deal with them; return the ids of those that have to come back."""
        sent = {record["messageId"] for record in records}
        try:
            answer = self._function.invoke({"Records": records})
            failed = {item["itemIdentifier"] for item in (answer or {}).get("batchItemFailures") or ()}
        except Exception as error:  # noqa: BLE001  whatever it was: the batch comes back
            # Where, but not what: the message may hold what a job was given.
            logger.error("%s failed\n%s", self._function.name, stack_of(error))  # noqa: TRY400
            return sent
        # An answer that names anything else counts as a failure of the whole batch.
        return sent if failed - sent else failed
