"""List and redrive the messages of a dead-letter queue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageRequestTypeDef

_BATCH = 10  # the limit of one receive
_VISIBILITY_SECONDS = 60  # in case releasing the messages fails


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue."""

    body: str
    sent_at: datetime  # to its original queue


class SqsDeadLetters:
    """The dead-letter queue of a queue."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url
        response = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
        arn = str(json.loads(response["Attributes"]["RedrivePolicy"])["deadLetterTargetArn"])
        self._url = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]

    def look(self, limit: int) -> Sequence[DeadLetter]:
        """Read up to `limit` messages, and leave them in the queue."""
        found: dict[str, MessageTypeDef] = {}
        while len(found) < limit and (batch := self._receive(limit - len(found))):
            found |= {message["MessageId"]: message for message in batch}
        for message in found.values():
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return [_letter(message) for message in found.values()]

    def redrive(self) -> int:
        """Move all messages back to their original queue, as new ones; return how many.

        A crash in between leaves one message in both queues: consumers expect repeated messages.
        """
        count = 0
        while batch := self._receive(_BATCH):
            for message in batch:
                self._send(message)
                self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                count += 1
        return count

    def _send(self, message: MessageTypeDef) -> None:
        group = message["Attributes"].get("MessageGroupId")  # job messages have one
        options: SendMessageRequestTypeDef = {"QueueUrl": self._queue_url, "MessageBody": message["Body"]}
        if group is not None:
            options["MessageGroupId"] = group
        self._client.send_message(**options)

    def _receive(self, limit: int) -> Sequence[MessageTypeDef]:
        # A wait of one second queries all of SQS's servers; without it, messages can be missed.
        response = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(limit, _BATCH),
            WaitTimeSeconds=1,
            VisibilityTimeout=_VISIBILITY_SECONDS,
            MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId"],
        )
        return response.get("Messages", [])


def _letter(message: MessageTypeDef) -> DeadLetter:
    sent_at_ms = int(message["Attributes"]["SentTimestamp"])
    return DeadLetter(message["Body"], datetime.fromtimestamp(sent_at_ms / 1000, UTC))
