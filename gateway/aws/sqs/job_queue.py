"""Job messages in SQS: one standard queue per priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from gateway.aws.resources import VISIBILITY_SECONDS
from gateway.domain.messages import JobMessage, message_group
from gateway.ports import ReceivedJob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_sqs import SQSClient

    from gateway.domain.job import Priority


class SqsJobQueue:
    """Implements the port `JobQueue`. `polling_client` receives messages; it must allow for long polls."""

    def __init__(
        self,
        client: SQSClient,
        urls: Mapping[Priority, str],
        polling_client: SQSClient | None = None,
        visibility_timeout_seconds: int = VISIBILITY_SECONDS,
    ) -> None:
        self._client = client
        self._polling_client = polling_client or client
        self._urls = urls
        self._visibility_timeout_seconds = visibility_timeout_seconds

    def send(self, message: JobMessage, *, group: str) -> None:
        """Enqueue. On a standard queue, SQS's fair queues use the group."""
        self._client.send_message(
            QueueUrl=self._urls[message.priority],
            MessageBody=_sendable(message.model_dump_json(by_alias=True, exclude_none=True)),
            MessageGroupId=message_group(group),
        )

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Receive the next message; wait up to `wait_seconds` for one.

        An invalid message is left in the queue, until it is moved to the dead-letter queue.
        """
        response = self._polling_client.receive_message(
            QueueUrl=self._urls[priority],
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self._visibility_timeout_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        for received in response.get("Messages", []):
            try:
                message = JobMessage.model_validate_json(received["Body"])
            except ValidationError:
                continue
            return ReceivedJob(
                message=message,
                receipt_handle=received["ReceiptHandle"],
                receive_count=int(received["Attributes"]["ApproximateReceiveCount"]),
            )
        return None

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Hide the message from other receivers for so many seconds from now; 0 makes it visible at once."""
        self._client.change_message_visibility(
            QueueUrl=self._urls[received.message.priority],
            ReceiptHandle=received.receipt_handle,
            VisibilityTimeout=seconds,
        )

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge."""
        self._client.delete_message(
            QueueUrl=self._urls[received.message.priority], ReceiptHandle=received.receipt_handle
        )

    def waiting(self) -> int:
        """Return the approximate number of visible messages in all queues; it is a little late."""
        return sum(self._waiting_in(url) for url in self._urls.values())

    def _waiting_in(self, url: str) -> int:
        response = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(response["Attributes"]["ApproximateNumberOfMessages"])


def _sendable(body: str) -> str:
    # The only two characters of a JSON text that SQS rejects. They only occur inside strings.
    return body.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
