"""Hold a job: renew its lease in the table and its message's visibility timeout while the job runs.

    every 1.5 s            one update: lease + progress + log ─▶ response: cancel requested?
    every third of a lease the message's visibility timeout is extended by another lease

Both continue while the executor shuts down, until the job is finished or released. When renewals fail, the holder
gives up before another executor may claim the job, by any clock:

    renewed ───────────── 0.9 leases: `lost`, the prompt is canceled ──── 1 lease: others may claim ─▶
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from executor.log import log_context, logger
from gateway.errors import LeaseLostError

if TYPE_CHECKING:
    from types import TracebackType

    from executor.comfyui.progress import PromptProgress
    from executor.job_log import JobLogWriter
    from gateway.domain.job import Job, LogLine
    from gateway.ports import Clock, JobQueue, JobStore, ReceivedJob

# Also the longest time until a cancel request is seen, which must take effect within 2 s.
RENEW_SECONDS = 1.5
_MIN_RENEWALS_PER_LEASE = 4
VISIBILITY_CHANGES_PER_LEASE = 3
# Share of a lease that remains when it counts as lost: clocks differ by a second or two, and canceling takes time.
_SAFETY_MARGIN = 0.1


class Lease:
    """Renews the lease inside its `with` block.

    Once there is a `progress`, renewals carry its percentage, and its `changed` is set when `cancel_requested` or
    `lost` turns true.

    `clock` is AWS time: other executors compare the lease's expiry with theirs.
    """

    def __init__(  # noqa: PLR0913  all are named
        self,
        *,
        job: Job,
        received: ReceivedJob,
        jobs: JobStore,
        queue: JobQueue,
        log: JobLogWriter,
        seconds: int,
        clock: Clock,
    ) -> None:
        self._job = job
        self._received = received
        self._jobs = jobs
        self._queue = queue
        self._log = log
        self.progress: PromptProgress | None = None
        self._seconds = seconds
        self._clock = clock
        self._written_log: tuple[LogLine, ...] = job.log
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_released, name=f"lease-{job.id}", daemon=True)
        self.held_by_others = False  # or the job has ended
        self._lost_at = clock.monotonic() + self._safe_seconds(job)
        self.cancel_requested = job.cancel_requested

    @property
    def lost(self) -> bool:
        """Whether another executor holds the job, or may claim it soon."""
        return self.held_by_others or self._clock.monotonic() > self._lost_at

    @property
    def released(self) -> bool:
        """Whether the lease is not renewed any more: the attempt is over."""
        return self._released.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def stop_renewing(self) -> None:
        """Renew no more, without waiting for a renewal that is under way."""
        self._released.set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._thread.join()

    def _renew_until_released(self) -> None:
        renew_seconds = min(RENEW_SECONDS, self._seconds / _MIN_RENEWALS_PER_LEASE)
        visibility_seconds = self._seconds / VISIBILITY_CHANGES_PER_LEASE
        change_visibility_at = self._clock.monotonic() + visibility_seconds
        job = self._job
        with log_context(private=job.private, job_id=job.id, correlation_id=job.correlation_id):
            while not self._released.wait(renew_seconds):
                self._renew()
                if self.lost:
                    self._notify()
                    return
                if self._clock.monotonic() >= change_visibility_at:
                    change_visibility_at = self._clock.monotonic() + visibility_seconds
                    self._change_visibility()

    def _renew(self) -> None:
        lines = self._log.lines
        try:
            job = self._jobs.renew(
                self._job,
                lease_until=self._clock.now() + timedelta(seconds=self._seconds),
                progress=self.progress.percent if self.progress else None,
                log=None if lines == self._written_log else lines,
            )
        except LeaseLostError:
            self.held_by_others = True
        except Exception as error:  # noqa: BLE001  any error of AWS: the lease is still valid for a while
            logger.warning("lease not renewed", action="lease_not_renewed", reason=type(error).__name__)
        else:
            self._lost_at = self._clock.monotonic() + self._safe_seconds(job)
            self._written_log = lines
            if job.cancel_requested and not self.cancel_requested:
                self.cancel_requested = True
                self._notify()

    def _notify(self) -> None:
        if self.progress:
            self.progress.changed.set()

    def _safe_seconds(self, job: Job) -> float:
        """Return how much longer the holder may continue, going by the lease that is written in a job."""
        if job.lease_expires_at is None:
            return 0.0
        return (job.lease_expires_at - self._clock.now()).total_seconds() - _SAFETY_MARGIN * self._seconds

    def _change_visibility(self) -> None:
        try:
            self._queue.change_visibility(self._received, self._seconds)
        except Exception as error:  # noqa: BLE001  a second delivery is harmless: the lease decides
            logger.warning(
                "visibility timeout not changed", action="visibility_not_changed", reason=type(error).__name__
            )
