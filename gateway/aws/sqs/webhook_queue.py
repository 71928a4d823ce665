"""The queue of webhooks to deliver. The webhook rule on the event bus sends "job ended" events to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from gateway.domain.messages import JobEndedEvent


class SqsWebhookQueue:
    """Implements the port `WebhookQueue`."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def send(self, event: JobEndedEvent) -> None:
        """Enqueue an event again, as the rule does."""
        # In ASCII: SQS rejects some characters, and an owner's name may have any.
        body = event.model_dump_json(by_alias=True, ensure_ascii=True)
        self._client.send_message(QueueUrl=self._url, MessageBody=body, MessageGroupId=event.owner_hash)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for so many seconds from now."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )
