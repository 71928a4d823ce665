"""Behaviour of the job queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.job import Priority
from gateway.domain.messages import JobMessage

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.aws.sqs.job_queue import SqsJobQueue
    from gateway.ports import ReceivedJob


def message(priority: Priority = Priority.NORMAL, **fields: Any) -> JobMessage:  # noqa: ANN401  a message's fields
    """Make a message with a small prompt."""
    usual: dict[str, Any] = {"job_id": "j", "correlation_id": "c", "prompt": {"1": {"class_type": "A", "inputs": {}}}}
    return JobMessage(**{**usual, **fields}, priority=priority)


def received(queue: SqsJobQueue, priority: Priority = Priority.NORMAL) -> ReceivedJob:
    """Take a message that must be there."""
    job = queue.receive(priority, wait_seconds=2)
    assert job is not None
    return job


@pytest.mark.parametrize("priority", Priority)
def test_each_priority_has_its_own_queue(queue: SqsJobQueue, priority: Priority) -> None:
    """A message is found under its priority and no other, as it was sent."""
    sent = message(priority, job_id=f"j-{priority}")
    queue.send(sent, group="ada")
    assert [queue.receive(other, wait_seconds=0) for other in Priority if other is not priority] == [None, None]
    job = received(queue, priority)
    assert (job.message, job.receive_count) == (sent, 1)


@pytest.mark.parametrize(
    "text", ["ü 🦊", "\x00\x01\x1f\x7f", "\ufffe\uffff", "\\uffff", '"]}', "\u2028\u2029", "x" * 100_000], ids=ascii
)
def test_any_text_travels(queue: SqsJobQueue, text: str) -> None:
    """What a user may write, a message may hold; SQS's own forbidden characters too."""
    sent = message(prompt={text[:1000]: [text, None, 1e-7]})
    queue.send(sent, group="ada")
    assert received(queue).message == sent


@pytest.mark.parametrize("owner", ["ada", "Ада 🦊 / “x”", "o" * 500, ""])
def test_any_owner_can_be_the_group(queue: SqsJobQueue, owner: str) -> None:
    """An owner's name is not bound to SQS's alphabet."""
    queue.send(message(), group=owner)
    assert received(queue)


def test_each_owner_is_a_group_of_its_own(queue: SqsJobQueue, aws: dict[str, str], aws_clients: Clients) -> None:
    """By its groups SQS tells a backlog of one owner from jobs of others, which it then delivers first."""
    for owner in ("ada", "bob", "ada"):
        queue.send(message(), group=owner)
    received = aws_clients.sqs.receive_message(
        QueueUrl=aws["NORMAL_QUEUE_URL"], MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    ada, bob, ada_again = (each["Attributes"]["MessageGroupId"] for each in received)
    assert ada == ada_again != bob


def test_a_received_message_is_hidden_until_it_is_given_back(queue: SqsJobQueue) -> None:
    """Nobody else gets it meanwhile; back at once it is counted as received again."""
    queue.send(message(), group="ada")
    first = received(queue)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None
    queue.change_visibility(first, 0)
    second = received(queue)
    assert (second.message, second.receive_count) == (first.message, 2)
    queue.change_visibility(second, 60)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None


def test_an_acknowledged_message_is_gone(queue: SqsJobQueue, aws: dict[str, str], aws_clients: Clients) -> None:
    """After deleting it nothing is left, visible or not."""
    queue.send(message(), group="ada")
    queue.delete(received(queue))
    assert waiting(aws, aws_clients) == (0, 0)


def test_an_empty_queue_gives_nothing(queue: SqsJobQueue) -> None:
    """No message is None."""
    assert queue.receive(Priority.HIGH, wait_seconds=0) is None


@pytest.mark.parametrize(
    "body",
    ["garbage", "{}", "[]", '{"version": 2, "jobId": "j", "priority": "normal", "correlationId": "c", "prompt": {}}'],
)
def test_what_is_no_job_message_is_left_alone(
    queue: SqsJobQueue, aws: dict[str, str], aws_clients: Clients, body: str
) -> None:
    """It is neither handed out nor deleted, so that the dead-letter queue gets it, and it holds nothing up."""
    aws_clients.sqs.send_message(QueueUrl=aws["NORMAL_QUEUE_URL"], MessageBody=body)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None
    assert waiting(aws, aws_clients) == (0, 1)
    queue.send(message(), group="ada")
    assert received(queue).message == message()


def waiting(aws: dict[str, str], aws_clients: Clients) -> tuple[int, int]:
    """Count the normal queue's messages: visible ones, and those in somebody's hands."""
    names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = aws_clients.sqs.get_queue_attributes(QueueUrl=aws["NORMAL_QUEUE_URL"], AttributeNames=names)["Attributes"]
    return int(counts[names[0]]), int(counts[names[1]])
