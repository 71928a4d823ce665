"""Receive job messages: high before normal before low priority, and at once while the GPU is idle.

Idle (ComfyUI could run a job at once): one short poll of each queue in order; when all are empty, a long poll of all
queues at the same time. Busy (only slots for waiting prompts are free): short polls every two seconds. A long poll
would take a job to wait here that an idle executor could start. A message that a long poll returns after the
executor became busy is released at once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from executor.log import log_context, logger
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports import Clock, JobQueue, ReceivedJob

_LONG_POLL_SECONDS = 20  # the maximum of SQS
_SHORT_POLL_INTERVAL_SECONDS = 2.0  # of a queue that was empty
_ERROR_BACKOFF_SECONDS = 2.0


class JobReceiver:
    """Receives messages for one caller, which calls `next` repeatedly, and `close` at the end."""

    def __init__(self, queue: JobQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._condition = threading.Condition()
        self._poll_at = dict.fromkeys(Priority, 0.0)  # on the monotonic clock
        self._idle = False
        self._woken = False
        self._long_polled: ReceivedJob | None = None  # for the next call of `next`
        self._pollers: dict[Priority, threading.Thread] = {}

    def next(self, priorities: Sequence[Priority], *, idle: bool, seconds: float) -> ReceivedJob | None:
        """Return the next message of one of these priorities, the highest first.

        `idle`: whether the job could run at once. Returns None when there is none within this time, and when `wake` is
        called. Long polls then continue in the background, and a message they return is kept for the next call, while
        the executor is idle.
        """
        self._set_idle(idle=idle)
        received = self._short_poll(priorities)
        if received is not None:
            return received
        with self._condition:
            if idle:
                self._start_pollers()
            self._condition.wait_for(lambda: self._long_polled is not None or self._woken, seconds)
            self._woken = False
            received, self._long_polled = self._long_polled, None
            if received is not None:
                # More messages may be behind it, which must be received in order of priority.
                self._poll_all_now()
            return received

    def wake(self) -> None:
        """Make a waiting `next` return, because a slot may be free. The call after it polls all queues at once."""
        with self._condition:
            self._poll_all_now()
            self._woken = True
            self._condition.notify_all()

    def close(self, seconds: float) -> None:
        """Stop receiving, and wait up to this long until running long polls have returned.

        SQS may give a message to a poll whose caller is gone; it would be invisible until its visibility times out.
        """
        self._set_idle(idle=False)
        deadline = self._clock.monotonic() + seconds
        for poller in tuple(self._pollers.values()):
            poller.join(max(0.0, deadline - self._clock.monotonic()))

    def _poll_all_now(self) -> None:
        self._poll_at = dict.fromkeys(Priority, 0.0)

    def _set_idle(self, *, idle: bool) -> None:
        with self._condition:
            self._idle = idle
            if idle or self._long_polled is None:
                return
            received, self._long_polled = self._long_polled, None
        self._release(received)

    def _short_poll(self, priorities: Sequence[Priority]) -> ReceivedJob | None:
        """Poll each of these queues that is due, once, in order."""
        for priority in priorities:
            if priority in self._pollers or self._clock.monotonic() < self._poll_at[priority]:
                continue
            try:
                received = self._queue.receive(priority, wait_seconds=0)
            except Exception as error:  # noqa: BLE001  any error of AWS: the next poll may work
                self._log_failure(error)
                self._poll_at = dict.fromkeys(Priority, self._clock.monotonic() + _ERROR_BACKOFF_SECONDS)
                return None
            if received is not None:
                return received
            self._poll_at[priority] = self._clock.monotonic() + _SHORT_POLL_INTERVAL_SECONDS
        return None

    def _start_pollers(self) -> None:
        for priority in Priority:
            if priority not in self._pollers:
                # Daemon threads: a long poll must not delay the end of the process.
                poller = threading.Thread(
                    target=self._long_poll, args=(priority,), name=f"long-poll-{priority}", daemon=True
                )
                self._pollers[priority] = poller
                poller.start()

    def _long_poll(self, priority: Priority) -> None:
        try:
            received = self._queue.receive(priority, wait_seconds=_LONG_POLL_SECONDS)
        except Exception as error:  # noqa: BLE001  see _short_poll
            if self._idle:
                self._log_failure(error)
                self._clock.sleep(_ERROR_BACKOFF_SECONDS)
            received = None
        with self._condition:
            if received is not None and self._idle and self._long_polled is None:
                self._long_polled, received = received, None
                self._condition.notify_all()
        if received is not None:
            self._release(received)
        with self._condition:
            del self._pollers[priority]
            self._poll_at[priority] = self._clock.monotonic() + _SHORT_POLL_INTERVAL_SECONDS

    def _release(self, received: ReceivedJob) -> None:
        try:
            self._queue.change_visibility(received, 0)
        except Exception as error:  # noqa: BLE001  it becomes visible anyway after its visibility timeout
            message = received.message
            with log_context(private=message.private, job_id=message.job_id, correlation_id=message.correlation_id):
                logger.warning(
                    "visibility timeout not changed", action="visibility_not_changed", reason=type(error).__name__
                )

    def _log_failure(self, error: Exception) -> None:
        logger.warning("receive failed", action="receive_failed", reason=type(error).__name__)
