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
SOON = 5.0  # seconds; nothing waits that long unless it is broken


class Queue:
    """Job queues in memory. A long poll lasts until a message comes, or `end_polls` is called."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: dict[Priority, list[ReceivedJob]] = {priority: [] for priority in Priority}
        self._ended = False
        self.looks = 0
        self.polls = 0
        self.under_way: set[Priority] = set()
        self.given_back: list[ReceivedJob] = []
        self.broken = False

    def arrive(self, priority: Priority) -> None:
        """Let a message come in."""
        message = JobMessage(job_id="job", priority=priority, correlation_id="c", prompt={})
        with self._changed:
            self._messages[priority].append(ReceivedJob(message=message, receipt_handle="r", receive_count=1))
            self._changed.notify_all()

    def end_polls(self) -> None:
        """Let all long polls end, now and later, without a message."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Look, or poll."""
        if self.broken:
            raise ConnectionError
        messages = self._messages[priority]
        with self._changed:
            if not wait_seconds:
                self.looks += 1
            else:
                self.polls += 1
                self.under_way.add(priority)
                self._changed.wait_for(lambda: messages or self._ended)
                self.under_way.discard(priority)
            return messages.pop(0) if messages else None

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Take a message back."""
        assert seconds == 0
        self.given_back.append(received)


@pytest.fixture
def queue() -> Iterator[Queue]:
    """Give queues; no poll outlives the test."""
    queue = Queue()
    yield queue
    queue.end_polls()


@pytest.fixture
def intake(queue: Queue) -> JobReceiver:
    """Give an intake."""
    return JobReceiver(queue, SYSTEM_CLOCK)  # type: ignore[arg-type]  # it sends and deletes nothing


def priority_of(received: ReceivedJob | None) -> Priority | None:
    """Name a message by its priority."""
    return received.message.priority if received else None


@pytest.mark.parametrize("idle", [True, False])
def test_what_waits_comes_in_order(intake: JobReceiver, queue: Queue, *, idle: bool) -> None:
    """High before normal before low, whenever they came."""
    for priority in (LOW, NORMAL, HIGH, LOW, HIGH):
        queue.arrive(priority)
    came = [priority_of(intake.next(ALL, idle=idle, seconds=SOON)) for _ in range(5)]
    assert came == [HIGH, HIGH, NORMAL, LOW, LOW]


def test_only_what_is_wanted_is_looked_for(intake: JobReceiver, queue: Queue) -> None:
    """Where there is a place for high priority only, messages of others stay in their queues."""
    queue.arrive(LOW)
    assert intake.next((HIGH,), idle=False, seconds=0) is None
    queue.arrive(HIGH)
    intake.wake()
    intake.next((), idle=False, seconds=SOON)
    assert priority_of(intake.next((HIGH,), idle=False, seconds=0)) is HIGH


@pytest.mark.parametrize("priority", Priority)
def test_while_idle_any_message_comes_at_once(intake: JobReceiver, queue: Queue, priority: Priority) -> None:
    """Long polls on all queues stand at the same time."""
    assert intake.next(ALL, idle=True, seconds=0) is None
    wait_until(lambda: queue.under_way == set(ALL), "a long poll on each queue")
    queue.arrive(priority)
    assert priority_of(intake.next(ALL, idle=True, seconds=SOON)) is priority


def test_while_busy_nothing_is_polled_for(intake: JobReceiver, queue: Queue) -> None:
    """Only quick looks, and not at every turn: a job that another executor could begin is left to that one."""
    for _ in range(10):
        intake.next(ALL, idle=False, seconds=0)
    assert (queue.looks, queue.polls) == (3, 0)


def test_a_place_that_comes_free_is_filled_at_once(intake: JobReceiver, queue: Queue) -> None:
    """Whoever waits is woken, and looks again at queues that were empty a moment ago."""
    intake.next(ALL, idle=False, seconds=0)
    queue.arrive(LOW)
    waker = threading.Timer(0.05, intake.wake)
    waker.start()
    started = time.monotonic()
    assert intake.next(ALL, idle=False, seconds=SOON) is None
    assert time.monotonic() - started < SOON / 2
    assert priority_of(intake.next(ALL, idle=False, seconds=0)) is LOW
    waker.join()


def test_what_a_poll_brings_too_late_goes_back_at_once(intake: JobReceiver, queue: Queue) -> None:
    """The executor got busy while the poll stood: another one may be idle."""
    intake.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.under_way == set(ALL), "a long poll on each queue")
    assert intake.next(ALL, idle=False, seconds=0) is None
    queue.arrive(LOW)
    wait_until(lambda: queue.given_back, "the message given back")


def test_what_arrived_goes_back_when_nothing_is_wanted_any_more(intake: JobReceiver, queue: Queue) -> None:
    """ComfyUI fell ill between a message's arrival and its being taken."""
    intake.next(ALL, idle=True, seconds=0)
    queue.arrive(LOW)
    wait_until(lambda: LOW not in queue.under_way, "the arrival")
    intake.next((), idle=False, seconds=0)
    wait_until(lambda: queue.given_back, "the message given back")


def test_at_its_end_it_waits_for_polls_under_way(intake: JobReceiver, queue: Queue) -> None:
    """What they still bring goes back, instead of staying hidden with nobody who knows of it."""
    intake.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.under_way == set(ALL), "a long poll on each queue")

    def end_late() -> None:
        queue.arrive(NORMAL)
        queue.end_polls()

    late = threading.Timer(0.05, end_late)
    late.start()
    intake.close(SOON)
    assert not queue.under_way
    assert [priority_of(received) for received in queue.given_back] == [NORMAL]
    late.join()


def test_at_its_end_it_waits_no_longer_than_it_may(intake: JobReceiver, queue: Queue) -> None:
    """A poll can take twenty seconds."""
    intake.next(ALL, idle=True, seconds=0)
    wait_until(lambda: queue.under_way == set(ALL), "a long poll on each queue")
    started = time.monotonic()
    intake.close(0.1)
    assert time.monotonic() - started < SOON


def test_queues_that_cannot_be_read_are_tried_again(intake: JobReceiver, queue: Queue) -> None:
    """An outage is no end."""
    queue.broken = True
    queue.arrive(HIGH)
    assert intake.next(ALL, idle=False, seconds=0) is None
    queue.broken = False
    intake.wake()
    intake.next((), idle=False, seconds=SOON)
    assert priority_of(intake.next(ALL, idle=False, seconds=0)) is HIGH
