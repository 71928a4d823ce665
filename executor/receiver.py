"""Which message comes next: high before normal before low, and none of them waits while a GPU is idle.

While ComfyUI could run a job at once: one quick look at each queue in order, and when all are empty one long poll on
each at the same time. While it is busy, and only the place of a prompt that waits is free, quick looks now and then: a
long poll would take away, for a place in the line, the job that an idle executor could begin. A message that a long
poll brings when the executor is no longer idle goes back at once.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from executor.log import log_context, logger
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports import JobQueue, ReceivedJob

_LONG_POLL_SECONDS = 20  # the most that SQS offers
_LOOK_AGAIN_SECONDS = 2.0  # at a queue that was empty
_AFTER_ERROR_SECONDS = 2.0


class JobReceiver:
    """Takes messages for one taker, who calls `next` again and again, and `close` at the end."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._lock = threading.Condition()
        self._look_at = dict.fromkeys(Priority, 0.0)  # on the monotonic clock
        self._idle = False
        self._woken = False
        self._arrived: ReceivedJob | None = None
        self._pollers: dict[Priority, threading.Thread] = {}

    def next(self, wanted: Sequence[Priority], *, idle: bool, seconds: float) -> ReceivedJob | None:
        """Return the next message of a wanted priority, highest first.

        `idle`: it could run at once. None when there is none within this time, or when `wake` was called; after that,
        long polls go on in the background and a message they bring is kept for the next call, as long as it is idle.
        """
        self._want(idle=idle)
        received = self._look(wanted)
        if received is not None:
            return received
        with self._lock:
            if idle:
                self._start_pollers()
            self._lock.wait_for(lambda: self._arrived is not None or self._woken, seconds)
            self._woken = False
            received, self._arrived = self._arrived, None
            if received is not None:
                # There may be a backlog behind it, which has to be looked at in order.
                self._look_at = dict.fromkeys(Priority, 0.0)
            return received

    def wake(self) -> None:
        """Let a `next` that waits return: more may be wanted now. The one after it looks at the queues at once."""
        with self._lock:
            self._look_at = dict.fromkeys(Priority, 0.0)
            self._woken = True
            self._lock.notify_all()

    def close(self, seconds: float) -> None:
        """Take nothing any more, and give long polls that are under way so long to end.

        SQS may hand a message to a poll whose caller is gone; nobody would see it until its visibility runs out.
        """
        self._want(idle=False)
        deadline = time.monotonic() + seconds
        for poller in tuple(self._pollers.values()):
            poller.join(max(0.0, deadline - time.monotonic()))

    def _want(self, *, idle: bool) -> None:
        with self._lock:
            self._idle = idle
            if idle or self._arrived is None:
                return
            received, self._arrived = self._arrived, None
        self._release(received)

    def _look(self, wanted: Sequence[Priority]) -> ReceivedJob | None:
        """Look once at each wanted queue that is due, in order."""
        for priority in wanted:
            if priority in self._pollers or time.monotonic() < self._look_at[priority]:
                continue
            try:
                received = self._queue.receive(priority, wait_seconds=0)
            except Exception as error:  # noqa: BLE001  whatever AWS throws: the next look may work
                logger.warning("queue not read", action="queue_not_read", reason=type(error).__name__)
                self._look_at = dict.fromkeys(Priority, time.monotonic() + _LOOK_AGAIN_SECONDS)
                return None
            if received is not None:
                return received
            self._look_at[priority] = time.monotonic() + _LOOK_AGAIN_SECONDS
        return None

    def _start_pollers(self) -> None:
        for priority in Priority:
            if priority not in self._pollers:
                # Daemons: a long poll must not hold the process back longer than it may.
                poller = threading.Thread(target=self._poll, args=(priority,), name=f"poll-{priority}", daemon=True)
                self._pollers[priority] = poller
                poller.start()

    def _poll(self, priority: Priority) -> None:
        try:
            received = self._queue.receive(priority, wait_seconds=_LONG_POLL_SECONDS)
        except Exception as error:  # noqa: BLE001  see _look
            if self._idle:
                logger.warning("queue not read", action="queue_not_read", reason=type(error).__name__)
                time.sleep(_AFTER_ERROR_SECONDS)
            received = None
        with self._lock:
            if received is not None and self._idle and self._arrived is None:
                self._arrived, received = received, None
                self._lock.notify_all()
        if received is not None:
            self._release(received)
        with self._lock:
            del self._pollers[priority]
            self._look_at[priority] = time.monotonic() + _LOOK_AGAIN_SECONDS

    def _release(self, received: ReceivedJob) -> None:
        try:
            self._queue.change_visibility(received, 0)
        except Exception as error:  # noqa: BLE001  it comes back by itself when its visibility runs out
            message = received.message
            with log_context(private=message.private, job_id=message.job_id, correlation_id=message.correlation_id):
                logger.warning("message not given back", action="message_not_hidden", reason=type(error).__name__)
