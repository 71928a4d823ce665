"""The state of the table and the queues, for diagnosis by operators."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class QueueState:
    """Approximate numbers of messages: `waiting`, `taken` (received), and `dead` (in the dead-letter queue)."""

    waiting: int
    taken: int
    dead: int


def table_status(client: DynamoDBClient, table_name: str) -> str:
    """Return a table's status as DynamoDB names it: ACTIVE when it works."""
    return client.describe_table(TableName=table_name)["Table"]["TableStatus"]


def queue_state(client: SQSClient, queue_url: str) -> QueueState:
    """Count the messages in a queue and in its dead-letter queue."""
    found = client.get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"],
    )["Attributes"]
    arn = str(json.loads(found["RedrivePolicy"])["deadLetterTargetArn"])
    dead_url = client.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    dead = client.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    return QueueState(
        waiting=int(found["ApproximateNumberOfMessages"]),
        taken=int(found["ApproximateNumberOfMessagesNotVisible"]),
        dead=int(dead["ApproximateNumberOfMessages"]),
    )
