"""Queues in memory: at-least-once, with visibility timeouts and receive counts as on SQS."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.aws.resources import JOB_QUEUES, VISIBILITY_SECONDS, WEBHOOK_QUEUE
from gateway.domain.job import Priority
from gateway.domain.messages import JobEndedEvent, JobMessage
from gateway.ports import ReceivedJob

if TYPE_CHECKING:
    from gateway.ports import Clock

_POLL_SECONDS = 0.05


@dataclass(slots=True)
class QueuedMessage:
    """A message in a queue."""

    body: str
    group: str
    visible_at: float  # by the clock's monotonic time
    receipt_handle: str = ""  # of the latest receive
    receive_count: int = 0


@dataclass
class MessageQueue:
    """One queue and its dead letters. Thread-safe."""

    clock: Clock
    visibility_timeout_seconds: float
    max_receives: int
    messages: list[QueuedMessage] = field(default_factory=list)
    dead_letters: list[QueuedMessage] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, body: str, group: str) -> None:
        """Add a message at the end."""
        with self._lock:
            self.messages.append(QueuedMessage(body, group, self.clock.monotonic()))

    def receive(self, wait_seconds: float = 0) -> QueuedMessage | None:
        """Receive the oldest visible message; wait for one until the clock has moved by `wait_seconds`."""
        deadline = self.clock.monotonic() + wait_seconds
        while (message := self._receive_now()) is None:
            remaining = deadline - self.clock.monotonic()
            if remaining <= 0:
                return None
            self.clock.sleep(min(remaining, _POLL_SECONDS))
        return message

    def _receive_now(self) -> QueuedMessage | None:
        with self._lock:
            now = self.clock.monotonic()
            for message in [each for each in self.messages if each.visible_at <= now]:
                if message.receive_count == self.max_receives:
                    self.messages.remove(message)
                    self.dead_letters.append(message)
                    continue
                message.receive_count += 1
                message.receipt_handle = uuid.uuid4().hex
                message.visible_at = now + self.visibility_timeout_seconds
                return message
            return None

    def change_visibility(self, receipt_handle: str, seconds: float) -> None:
        """Hide a received message for so many seconds from now. The handle of an earlier receive changes nothing."""
        with self._lock:
            for message in self.messages:
                if message.receipt_handle == receipt_handle:
                    message.visible_at = self.clock.monotonic() + seconds

    def delete(self, receipt_handle: str) -> None:
        """Delete a received message. The handle of an earlier receive deletes nothing."""
        with self._lock:
            self.messages = [each for each in self.messages if each.receipt_handle != receipt_handle]

    def visible(self) -> int:
        """Count the messages that can be received now."""
        now = self.clock.monotonic()
        with self._lock:
            return sum(message.visible_at <= now for message in self.messages)


class InMemoryJobQueue:
    """Implements the port `JobQueue`. Groups are stored, but have no influence on the order.

    `wait_seconds` pass by the clock: an empty receive moves a fake clock.
    """

    def __init__(self, clock: Clock, visibility_timeout_seconds: float = VISIBILITY_SECONDS) -> None:
        self.queues = {
            priority: MessageQueue(clock, visibility_timeout_seconds, JOB_QUEUES[priority].max_receives)
            for priority in Priority
        }

    def send(self, message: JobMessage, *, group: str) -> None:
        """Enqueue."""
        self.queues[message.priority].send(message.model_dump_json(by_alias=True, exclude_none=True), group)

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Receive the oldest visible message."""
        received = self.queues[priority].receive(wait_seconds)
        if received is None:
            return None
        return ReceivedJob(
            message=JobMessage.model_validate_json(received.body),
            receipt_handle=received.receipt_handle,
            receive_count=received.receive_count,
        )

    def change_visibility(self, received: ReceivedJob, seconds: int) -> None:
        """Hide a received message for so many seconds from now; 0 makes it visible."""
        self.queues[received.message.priority].change_visibility(received.receipt_handle, seconds)

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge."""
        self.queues[received.message.priority].delete(received.receipt_handle)

    def waiting(self) -> int:
        """Count the visible messages of all priorities."""
        return sum(queue.visible() for queue in self.queues.values())


class InMemoryQueueDepth:
    """Implements the port `QueueDepth`."""

    def __init__(self, queue: InMemoryJobQueue) -> None:
        self._queue = queue

    def messages(self, priority: Priority) -> int:
        """Count all messages of a priority: visible, received, and dead letters."""
        queue = self._queue.queues[priority]
        return len(queue.messages) + len(queue.dead_letters)


class InMemoryWebhookQueue:
    """Implements the port `WebhookQueue`. `queue` is the side that starts the webhook function."""

    def __init__(self, clock: Clock) -> None:
        self.queue = MessageQueue(clock, WEBHOOK_QUEUE.visibility_seconds, WEBHOOK_QUEUE.max_receives)

    def send(self, event: JobEndedEvent) -> None:
        """Enqueue a delivery."""
        self.queue.send(event.model_dump_json(by_alias=True), event.owner_hash)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for so many seconds from now."""
        self.queue.change_visibility(receipt_handle, seconds)
