"""Which message comes next: high before normal before low, and none of them waits while the executor is idle.

First one quick look at each queue in order. Only when all are empty, one long poll on each at the same
time. A message that a long poll brings when its place has been taken meanwhile goes back at once.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from gateway.ports import JobQueue, ReceivedJob

_LONG_POLL_SECONDS = 20  # the most that SQS offers
_AFTER_ERROR_SECONDS = 2.0


class Intake:
    """Takes messages for one taker, who calls `next` until it has one, or `pause` when it wants none."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._lock = threading.Condition()
        self._wanted = False
        self._found_empty = False
        self._arrived: ReceivedJob | None = None
        self._pollers: set[Priority] = set()

    def next(self, seconds: float) -> ReceivedJob | None:
        """Return the next message; None when none comes within this time, or the queues cannot be read.

        After None, long polls go on in the background and a message they bring is kept for the next call.
        """
        if not self._found_empty:
            received = self._look()
            if received is not None:
                return received
            self._found_empty = True
        with self._lock:
            self._wanted = self._arrived is None
            self._start_pollers()
            self._lock.wait_for(lambda: self._arrived is not None, seconds)
            received, self._arrived = self._arrived, None
            if received is not None:
                # There may be a backlog behind it, which has to be looked at in order.
                self._found_empty = False
            return received

    def pause(self) -> None:
        """Want no message for now: what long polls still bring goes back."""
        with self._lock:
            self._wanted = False
            received, self._arrived = self._arrived, None
        if received is not None:
            self._give_back(received)

    def _look(self) -> ReceivedJob | None:
        """Look at each queue once, in order."""
        for priority in Priority:
            try:
                received = self._queue.receive(priority, wait_seconds=0)
            except Exception as error:  # noqa: BLE001  whatever AWS throws: the next look may work
                logger.warning("queue not read", action="queue_not_read", reason=type(error).__name__)
                return None
            if received is not None:
                return received
        return None

    def _start_pollers(self) -> None:
        for priority in Priority:
            if priority not in self._pollers:
                # Daemons: a long poll must not hold the process back when it stops.
                poller = threading.Thread(target=self._poll, args=(priority,), name=f"poll-{priority}", daemon=True)
                self._pollers.add(priority)
                poller.start()

    def _poll(self, priority: Priority) -> None:
        try:
            received = self._queue.receive(priority, wait_seconds=_LONG_POLL_SECONDS)
        except Exception as error:  # noqa: BLE001  see _look
            if self._wanted:
                logger.warning("queue not read", action="queue_not_read", reason=type(error).__name__)
                time.sleep(_AFTER_ERROR_SECONDS)
            received = None
        with self._lock:
            self._pollers.discard(priority)
            if received is None:
                return
            if self._wanted:
                self._wanted = False
                self._arrived = received
                self._lock.notify_all()
                return
        self._give_back(received)

    def _give_back(self, received: ReceivedJob) -> None:
        try:
            self._queue.hide(received, 0)
        except Exception as error:  # noqa: BLE001  it comes back by itself when its visibility runs out
            logger.warning("message not given back", action="message_not_hidden", reason=type(error).__name__)
