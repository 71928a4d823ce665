"""Holding a job: its lease in the table and its message in the queue, renewed while the job runs.

    every 1.5 s   one update: lease + progress + log ─▶ answer: cancel requested?
    every 10 s    the message stays hidden for another 30 s

Both go on while the executor shuts down, until the job is finished or given back.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from executor.log import logger
from gateway.aws.resources import JOB_QUEUES
from gateway.domain import instant
from gateway.errors import LeaseLostError

if TYPE_CHECKING:
    from types import TracebackType

    from executor.events import Watch
    from gateway.domain.job import Job, LogLine
    from gateway.ports import JobQueue, JobStore, ReceivedJob

# A crashed executor's job can be claimed again after this long.
LEASE = timedelta(seconds=30)
# Also how long a cancel takes to be heard, which has to be under 2 s.
RENEW_SECONDS = 1.5
_HIDE_AGAIN_SECONDS = 10.0


class Lease:
    """Renews while its `with` block runs. The watch gets news when `cancel_requested` or `lost` turns true."""

    def __init__(
        self,
        *,
        job: Job,
        received: ReceivedJob,
        jobs: JobStore,
        queue: JobQueue,
        watch: Watch,
    ) -> None:
        self._job = job
        self._received = received
        self._jobs = jobs
        self._queue = queue
        self._watch = watch
        self._written: tuple[LogLine, ...] = job.log
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_released, name=f"lease-{job.id}", daemon=True)
        self._expires_at = time.monotonic() + LEASE.total_seconds()
        self.cancel_requested = job.cancel_requested
        self.lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()

    def _renew_until_released(self) -> None:
        hide_at = time.monotonic() + _HIDE_AGAIN_SECONDS
        while not self._released.wait(RENEW_SECONDS):
            self._renew()
            if self.lost:
                return
            if time.monotonic() >= hide_at:
                hide_at = time.monotonic() + _HIDE_AGAIN_SECONDS
                self._hide()

    def _renew(self) -> None:
        sent_at = time.monotonic()
        lines = self._watch.log.lines
        try:
            job = self._jobs.renew(
                self._job,
                lease_until=instant.now() + LEASE,
                progress=self._watch.progress.percent,
                log=None if lines == self._written else lines,
            )
        except LeaseLostError:
            self._lose()
        except Exception as error:  # noqa: BLE001  whatever AWS throws: the lease still stands for a while
            logger.warning("lease not renewed", action="lease_not_renewed", reason=type(error).__name__)
            if time.monotonic() > self._expires_at:
                self._lose()
        else:
            self._expires_at = sent_at + LEASE.total_seconds()
            self._written = lines
            if job.cancel_requested and not self.cancel_requested:
                self.cancel_requested = True
                self._watch.news.set()

    def _lose(self) -> None:
        self.lost = True
        self._watch.news.set()

    def _hide(self) -> None:
        try:
            self._queue.hide(self._received, JOB_QUEUES[self._received.message.priority].visibility_seconds)
        except Exception as error:  # noqa: BLE001  a second delivery is harmless: the lease decides
            logger.warning("message not kept hidden", action="message_not_hidden", reason=type(error).__name__)
