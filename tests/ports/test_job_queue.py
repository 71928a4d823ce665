"""The ports JobQueue and QueueDepth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.job import Priority
from gateway.domain.messages import JobMessage
from tests.ports.conftest import QUEUE_VISIBILITY_SECONDS

if TYPE_CHECKING:
    from gateway.ports import JobQueue, ReceivedJob
    from tests.ports.conftest import Ports


@pytest.fixture
def queue(ports: Ports) -> JobQueue:
    """Return the job queue."""
    return ports.queue


def message(priority: Priority = Priority.NORMAL, **fields: Any) -> JobMessage:  # noqa: ANN401  a message's fields
    """Make a message with a small prompt."""
    usual: dict[str, Any] = {"job_id": "j", "correlation_id": "c", "prompt": {"1": {"class_type": "A", "inputs": {}}}}
    return JobMessage(**{**usual, **fields}, priority=priority)


def received(queue: JobQueue, priority: Priority = Priority.NORMAL) -> ReceivedJob:
    """Receive a message that must be there."""
    job = queue.receive(priority, wait_seconds=2)
    assert job is not None
    return job


@pytest.mark.parametrize("priority", Priority)
def test_each_priority_has_its_own_queue(queue: JobQueue, priority: Priority) -> None:
    """A message is received under its priority and no other, as it was sent."""
    sent = message(priority, job_id=f"j-{priority}")
    queue.send(sent, group="ada")
    assert [queue.receive(other, wait_seconds=0) for other in Priority if other is not priority] == [None, None]
    job = received(queue, priority)
    assert (job.message, job.receive_count) == (sent, 1)


@pytest.mark.parametrize(
    "text", ["ü 🦊", "\x00\x01\x1f\x7f", "\ufffe\uffff", "\\uffff", '"]}', "\u2028\u2029", "x" * 100_000], ids=ascii
)
def test_a_message_can_hold_any_text(queue: JobQueue, text: str) -> None:
    """Whatever users write, including the characters that SQS itself rejects."""
    sent = message(prompt={text[:1000]: [text, None, 1e-7]})
    queue.send(sent, group="ada")
    assert received(queue).message == sent


@pytest.mark.parametrize("owner", ["ada", "Ада 🦊 / “x”", "o" * 500, ""])
def test_any_owner_can_be_the_group(queue: JobQueue, owner: str) -> None:
    """An owner's name is not limited to SQS's alphabet for groups."""
    queue.send(message(), group=owner)
    assert received(queue)


def test_a_received_message_is_hidden_until_it_is_released(queue: JobQueue) -> None:
    """Visibility 0 makes it visible at once, and the receive count goes on; a longer one hides it."""
    queue.send(message(), group="ada")
    first = received(queue)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None
    queue.change_visibility(first, 0)
    second = received(queue)
    assert (second.message, second.receive_count) == (first.message, 2)
    queue.change_visibility(second, 60)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None


def test_a_message_comes_back_after_its_visibility_timeout(ports: Ports) -> None:
    """A receiver that crashed does not lose it."""
    queue = ports.impatient_queue
    queue.send(message(), group="ada")
    first = received(queue)
    ports.clock.sleep(QUEUE_VISIBILITY_SECONDS)
    assert received(queue).message == first.message


def test_an_acknowledged_message_is_gone(ports: Ports) -> None:
    """It does not come back after its visibility timeout, and is not counted."""
    queue = ports.impatient_queue
    queue.send(message(), group="ada")
    queue.delete(received(queue))
    ports.clock.sleep(QUEUE_VISIBILITY_SECONDS)
    assert queue.receive(Priority.NORMAL, wait_seconds=0) is None
    assert ports.queue_depth.messages(Priority.NORMAL) == 0


def test_an_empty_queue_returns_nothing(queue: JobQueue) -> None:
    """After the wait, None is returned."""
    assert queue.receive(Priority.HIGH, wait_seconds=0) is None
    assert queue.receive(Priority.HIGH, wait_seconds=1) is None


def test_visible_messages_are_counted(ports: Ports) -> None:
    """`waiting` counts the visible ones of all priorities; the depth counts received ones too, per priority."""
    for priority in (Priority.NORMAL, Priority.NORMAL, Priority.LOW):
        ports.queue.send(message(priority), group="ada")
    ports.queue.change_visibility(received(ports.queue), 60)
    assert ports.queue.waiting() == 2
    assert {priority: ports.queue_depth.messages(priority) for priority in Priority} == {
        Priority.HIGH: 0,
        Priority.NORMAL: 2,
        Priority.LOW: 1,
    }
