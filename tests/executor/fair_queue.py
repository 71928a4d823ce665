"""A job queue with the order of SQS fair queues, which the emulator does not implement.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html: a message
group is noisy when it recently took more than a tenth of the consumers' time. Messages of other groups go first; among
noisy groups, the one with the fewest messages in flight is next.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports import JobQueue, ReceivedJob

_NOISY_SHARE = 0.1


class FairJobQueue:
    """Receives all messages of a queue and returns them in fair order; for one executor."""

    def __init__(self, queue: JobQueue, group_of: Callable[[str], str]) -> None:
        self._queue = queue
        self._group_of = group_of  # the message group of a job id
        self._lock = threading.Lock()
        self._waiting: dict[Priority, list[ReceivedJob]] = {priority: [] for priority in Priority}
        self._in_flight: dict[str, tuple[str, float]] = {}  # by receipt handle: the group, and since when
        self._seconds: dict[str, float] = {}  # consumers' time by group
        self.send = queue.send
        self.change_visibility = queue.change_visibility
        self.waiting = queue.waiting

    def receive(self, priority: Priority, *, wait_seconds: int) -> ReceivedJob | None:
        """Return the message that is next in fair order."""
        waiting = self._waiting[priority]
        received = self._queue.receive(priority, wait_seconds=0 if waiting else wait_seconds)
        with self._lock:
            while received is not None:
                waiting.append(received)
                received = self._queue.receive(priority, wait_seconds=0)
            if not waiting:
                return None
            received = min(waiting, key=self._rank)  # the oldest of equal ones
            waiting.remove(received)
            self._in_flight[received.receipt_handle] = (self._group_of(received.message.job_id), time.monotonic())
            return received

    def delete(self, received: ReceivedJob) -> None:
        """Acknowledge a message, and count the consumer's time."""
        self._queue.delete(received)
        with self._lock:
            group, since = self._in_flight.pop(received.receipt_handle)
            self._seconds[group] = self._seconds.get(group, 0) + time.monotonic() - since

    def _rank(self, received: ReceivedJob) -> tuple[bool, int]:
        own = self._group_of(received.message.job_id)
        seconds = dict(self._seconds)
        in_flight_count = 0
        for group, since in self._in_flight.values():
            seconds[group] = seconds.get(group, 0) + time.monotonic() - since
            in_flight_count += group == own
        return seconds.get(own, 0) > _NOISY_SHARE * sum(seconds.values()), in_flight_count
