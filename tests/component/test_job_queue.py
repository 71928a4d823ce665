"""The job queues on SQS. What the port promises is in tests/ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.job import Priority
from gateway.domain.messages import JobMessage

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.aws.sqs.job_queue import SqsJobQueue

MESSAGE = JobMessage(
    job_id="j",
    priority=Priority.NORMAL,
    correlation_id="c",
    prompt={"1": {"class_type": "A", "inputs": {}}},
)


def test_each_owner_has_a_message_group(queue: SqsJobQueue, aws: dict[str, str], aws_clients: Clients) -> None:
    """SQS's fair queues use the group: a backlog of one owner does not delay the others."""
    for owner in ("ada", "bob", "ada"):
        queue.send(MESSAGE, group=owner)
    received = aws_clients.sqs.receive_message(
        QueueUrl=aws["NORMAL_QUEUE_URL"], MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    ada, bob, ada_again = (each["Attributes"]["MessageGroupId"] for each in received)
    assert ada == ada_again != bob


@pytest.mark.parametrize(
    "body",
    ["garbage", "{}", "[]", '{"version": 2, "jobId": "j", "priority": "normal", "correlationId": "c", "prompt": {}}'],
)
def test_an_invalid_message_is_left_in_the_queue(
    queue: SqsJobQueue, aws: dict[str, str], aws_clients: Clients, body: str
) -> None:
    """It is neither returned nor deleted, so the dead-letter queue gets it, and it delays no other message."""
    aws_clients.sqs.send_message(QueueUrl=aws["NORMAL_QUEUE_URL"], MessageBody=body)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = aws_clients.sqs.get_queue_attributes(QueueUrl=aws["NORMAL_QUEUE_URL"], AttributeNames=names)["Attributes"]
    assert [int(counts[name]) for name in names] == [0, 1]
    queue.send(MESSAGE, group="ada")
    received = queue.receive(Priority.NORMAL, wait_seconds=2)
    assert received is not None
    assert received.message == MESSAGE
