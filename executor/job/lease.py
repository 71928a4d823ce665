"""Holding a job: its lease in the table and its message in the queue, renewed while the job runs.

    every 1.5 s            one update: lease + progress + log ─▶ answer: cancel requested?
    every third of a lease the message stays hidden for another lease

Both go on while the executor shuts down, until the job is finished or given back. When renewals do not get through,
the holder gives up before anybody else may claim, by all clocks:

    renewed ───────────── 0.9 leases: `lost`, the prompt is taken off ──── 1 lease: others may claim ─▶
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from executor.log import log_context, logger
from gateway.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from executor.comfyui.progress import PromptProgress
    from gateway.domain.job import Job, LogLine
    from gateway.ports import JobQueue, JobStore, ReceivedJob

# Also how long a cancel takes to be heard, which has to be under 2 s.
_RENEW_SECONDS = 1.5
_RENEWALS_PER_LEASE = 4  # at least
_HIDINGS_PER_LEASE = 3
# What is left of a lease when it counts as lost: clocks differ by a second or two, and interrupts take their time.
_MARGIN = 0.1


class Lease:
    """Renews while its `with` block runs. The watch gets news when `cancel_requested` or `lost` turns true.

    `now` is AWS's present: others compare with theirs what is written here.
    """

    def __init__(  # noqa: PLR0913  all are named
        self,
        *,
        job: Job,
        received: ReceivedJob,
        jobs: JobStore,
        queue: JobQueue,
        watch: PromptProgress,
        seconds: int,
        now: Callable[[], datetime],
    ) -> None:
        self._job = job
        self._received = received
        self._jobs = jobs
        self._queue = queue
        self._watch = watch
        self._seconds = seconds
        self._now = now
        self._written: tuple[LogLine, ...] = job.log
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_released, name=f"lease-{job.id}", daemon=True)
        self._taken = False
        self._stands_until = time.monotonic() + self._seconds_of(job)
        self.cancel_requested = job.cancel_requested

    @property
    def lost(self) -> bool:
        """Whether somebody else has the job, or may have it soon."""
        return self._taken or time.monotonic() > self._stands_until

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()

    def _renew_until_released(self) -> None:
        hide_seconds = self._seconds / _HIDINGS_PER_LEASE
        hide_at = time.monotonic() + hide_seconds
        job = self._job
        with log_context(private=job.private, job_id=job.id, correlation_id=job.correlation_id):
            while not self._released.wait(min(_RENEW_SECONDS, self._seconds / _RENEWALS_PER_LEASE)):
                self._renew()
                if self.lost:
                    self._watch.news.set()
                    return
                if time.monotonic() >= hide_at:
                    hide_at = time.monotonic() + hide_seconds
                    self._change_visibility()

    def _renew(self) -> None:
        lines = self._watch.log.lines
        try:
            job = self._jobs.renew(
                self._job,
                lease_until=self._now() + timedelta(seconds=self._seconds),
                progress=self._watch.progress.percent,
                log=None if lines == self._written else lines,
            )
        except LeaseLostError:
            self._taken = True
        except Exception as error:  # noqa: BLE001  whatever AWS throws: the lease still stands for a while
            logger.warning("lease not renewed", action="lease_not_renewed", reason=type(error).__name__)
        else:
            self._stands_until = time.monotonic() + self._seconds_of(job)
            self._written = lines
            if job.cancel_requested and not self.cancel_requested:
                self.cancel_requested = True
                self._watch.news.set()

    def _seconds_of(self, job: Job) -> float:
        """Tell how much longer the holder may go by the lease that is written on a job."""
        if job.lease_expires_at is None:
            return 0.0
        return (job.lease_expires_at - self._now()).total_seconds() - _MARGIN * self._seconds

    def _change_visibility(self) -> None:
        try:
            self._queue.change_visibility(self._received, self._seconds)
        except Exception as error:  # noqa: BLE001  a second delivery is harmless: the lease decides
            logger.warning("message not kept hidden", action="message_not_hidden", reason=type(error).__name__)
