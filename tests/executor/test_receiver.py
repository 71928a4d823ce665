"""The receiver: the order in which an executor receives messages, and their release."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from executor.receiver import JobReceiver
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Priority
from gateway.domain.messages import JobMessage
from gateway.ports import ReceivedJob
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

HIGH, NORMAL, LOW = ALL = tuple(Priority)
TIMEOUT_SECONDS = 10.0  # no test waits that long unless it fails


class FakeQueue:
    """Job queues in memory. A long poll lasts until a message is sent, or until `end_long_polls`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._messages: dict[Priority, list[ReceivedJob]] = {priority: [] for priority in Priority}
        self._ended = False
        self.short_poll_count = 0
        self.long_poll_count = 0
        self.long_polls: set[Priority] = set()  # that are running
        self.released: list[ReceivedJob] = []
        self.broken = False

    def send(self, priority: Priority) -> None:
        """Send a message."""
        message = JobMessage(job_id="job", priority=priority, correlation_id="c", prompt={})
        with self._condition:
            self._messages[priority].append(ReceivedJob(message=message, receipt_handle="r", receive_count=1))
            self._condition.notify_all()

    def end_long_polls(self) -> None:
        """End all long polls, now and later, without a message."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Receive a message by a short or a long poll."""
        if self.broken:
            raise ConnectionError
        messages = self._messages[priority]
        with self._condition:
            if not wait_seconds:
                self.short_poll_count += 1
            else:
                self.long_poll_count += 1
                self.long_polls.add(priority)
                self._condition.wait_for(lambda: messages or self._ended)
                self.long_polls.discard(priority)
            return messages.pop(0) if messages else None

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Release a message."""
        assert seconds == 0
        self.released.append(received)


@pytest.fixture
def queue() -> Iterator[FakeQueue]:
    """Return queues; no long poll outlives the test."""
    queue = FakeQueue()
    yield queue
    queue.end_long_polls()


@pytest.fixture
def receiver(queue: FakeQueue) -> JobReceiver:
    """Return a receiver."""
    return JobReceiver(queue, SYSTEM_CLOCK)  # type: ignore[arg-type]  # has the methods that are used


def priority_of(received: ReceivedJob | None) -> Priority | None:
    """Return the priority of a message."""
    return received.message.priority if received else None


@pytest.mark.parametrize("idle", [True, False])
def test_waiting_messages_are_received_by_priority(receiver: JobReceiver, queue: FakeQueue, *, idle: bool) -> None:
    """High before normal before low, in whatever order they were sent."""
    for priority in (LOW, NORMAL, HIGH, LOW, HIGH):
        queue.send(priority)
    received = [priority_of(receiver.next(ALL, idle=idle, seconds=TIMEOUT_SECONDS)) for _ in range(5)]
    assert received == [HIGH, HIGH, NORMAL, LOW, LOW]


def test_only_wanted_priorities_are_polled(receiver: JobReceiver, queue: FakeQueue) -> None:
    """When only a slot for high priority is free, other messages stay in their queues."""
    queue.send(LOW)
    assert receiver.next((HIGH,), idle=False, seconds=0) is None
    queue.send(HIGH)
    receiver.wake()
    receiver.next((), idle=False, seconds=TIMEOUT_SECONDS)
    assert priority_of(receiver.next((HIGH,), idle=False, seconds=0)) is HIGH


@pytest.mark.parametrize("priority", Priority)
def test_an_idle_executor_receives_any_message_at_once(
    receiver: JobReceiver, queue: FakeQueue, priority: Priority
) -> None:
    """It long-polls all queues at the same time."""
    assert receiver.next(ALL, idle=True, seconds=0) is None
    wait_until(lambda: queue.long_polls == set(ALL), "a long poll of each queue")
    queue.send(priority)
    assert priority_of(receiver.next(ALL, idle=True, seconds=TIMEOUT_SECONDS)) is priority


def test_a_busy_executor_does_not_long_poll(receiver: JobReceiver, queue: FakeQueue) -> None:
    """Only short polls, and not in each turn: another executor could start the job."""
    for _ in range(10):
        receiver.next(ALL, idle=False, seconds=0)
    assert (queue.short_poll_count, queue.long_poll_count) == (3, 0)


def test_a_free_slot_is_filled_at_once(receiver: JobReceiver, queue: FakeQueue) -> None:
    """`wake` ends a waiting `next`, and the queues are polled again although they have just been empty."""
    receiver.next(ALL, idle=False, seconds=0)
    queue.send(LOW)
    waker = threading.Timer(0.05, receiver.wake)
    waker.start()
    started_at = time.monotonic()
    assert receiver.next(ALL, idle=False, seconds=TIMEOUT_SECONDS) is None
    assert time.monotonic() - started_at < TIMEOUT_SECONDS
    assert priority_of(receiver.next(ALL, idle=False, seconds=0)) is LOW
    waker.join()


def test_a_late_message_is_released_at_once(receiver: JobReceiver, queue: FakeQueue) -> None:
    """The executor became busy during the long poll; another one may be idle."""
    receiver.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.long_polls == set(ALL), "a long poll of each queue")
    assert receiver.next(ALL, idle=False, seconds=0) is None
    queue.send(LOW)
    wait_until(lambda: queue.released, "a released message")


def test_a_received_message_is_released_when_none_is_wanted(receiver: JobReceiver, queue: FakeQueue) -> None:
    """ComfyUI became unavailable between the long poll's return and the next call of `next`."""
    receiver.next(ALL, idle=True, seconds=0)
    queue.send(LOW)
    wait_until(lambda: LOW not in queue.long_polls, "the long poll's return")
    receiver.next((), idle=False, seconds=0)
    wait_until(lambda: queue.released, "a released message")


def test_close_waits_for_long_polls(receiver: JobReceiver, queue: FakeQueue) -> None:
    """Messages that they still return are released, instead of staying invisible."""
    receiver.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.long_polls == set(ALL), "a long poll of each queue")

    def end_late() -> None:
        queue.send(NORMAL)
        queue.end_long_polls()

    late = threading.Timer(0.05, end_late)
    late.start()
    receiver.close(TIMEOUT_SECONDS)
    assert not queue.long_polls
    assert [priority_of(received) for received in queue.released] == [NORMAL]
    late.join()


def test_close_waits_no_longer_than_allowed(receiver: JobReceiver, queue: FakeQueue) -> None:
    """A long poll can take twenty seconds."""
    receiver.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.long_polls == set(ALL), "a long poll of each queue")
    started_at = time.monotonic()
    receiver.close(0.1)
    assert time.monotonic() - started_at < TIMEOUT_SECONDS


def test_receiving_is_retried_after_an_outage(receiver: JobReceiver, queue: FakeQueue) -> None:
    """An error of the queue is not permanent."""
    queue.broken = True
    queue.send(HIGH)
    assert receiver.next(ALL, idle=False, seconds=0) is None
    queue.broken = False
    receiver.wake()
    receiver.next((), idle=False, seconds=TIMEOUT_SECONDS)
    assert priority_of(receiver.next(ALL, idle=False, seconds=0)) is HIGH
