"""Call a function with the messages of a queue, as the event source mapping of Lambda for SQS does.

Event and response: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
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
    """Receives batches from a queue until `stopping` is set; deletes messages that the function has processed.

    It receives the next batch only when the function has capacity for it.
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
        response = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self._arn = response["Attributes"]["QueueArn"]

    def start(self) -> None:
        """Start the thread. It is a daemon: a long poll must not delay the exit of the process."""
        threading.Thread(target=self._run, name=f"queue-{self._function.name}", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._free.acquire()
            messages: list[MessageTypeDef] = []
            try:
                messages = self._receive()
            except (BotoCoreError, ClientError) as error:
                logger.warning("queue request failed: %s: %s", self._arn, type(error).__name__)
                self._stopping.wait(_AFTER_ERROR_SECONDS)
            if messages and not self._stopping.is_set():  # unprocessed messages become visible again
                threading.Thread(target=self._process, args=[messages], daemon=True).start()
            else:
                self._free.release()

    def _receive(self) -> list[MessageTypeDef]:
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=self._batch_size,
            WaitTimeSeconds=_LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def _process(self, messages: list[MessageTypeDef]) -> None:
        try:
            failed = self._call([self._record(message) for message in messages])
            for message in messages:
                if message["MessageId"] not in failed:
                    self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        except (BotoCoreError, ClientError) as error:
            logger.warning("queue request failed: %s: %s", self._arn, type(error).__name__)
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

    def _call(self, records: list[dict[str, Any]]) -> set[str]:
        """Call the function; return the ids of the messages that failed."""
        sent = {record["messageId"] for record in records}
        try:
            response = self._function.invoke({"Records": records})
            failed = {item["itemIdentifier"] for item in (response or {}).get("batchItemFailures") or ()}
        except Exception as error:  # noqa: BLE001  after any error the batch is received again
            # Only the stack: the message may contain inputs of a job.
            logger.error("function failed: %s\n%s", self._function.name, stack_of(error))  # noqa: TRY400
            return sent
        # A response with any other id counts as a failure of the whole batch.
        return sent if failed - sent else failed
