"""Finish a job: the one terminal write, the cached result, the event.

The terminal status is stored before the event is published. If the executor crashes in between, the next receiver of
the job's message publishes the event; its id is the same each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.messages import JobEndedEvent
from gateway.domain.result_cache import CachedResult
from gateway.errors import LeaseLostError

if TYPE_CHECKING:
    from datetime import timedelta

    from gateway.domain.job import Job, JobEnd
    from gateway.ports import Clock, EventBus, JobStore, ResultCache

_RETRY_SECONDS = 1.0


class JobFinisher:
    """Finishes jobs on behalf of the attempt that holds their lease. `result_ttl`: how long results are cached."""

    def __init__(  # noqa: PLR0913  all are named
        self,
        *,
        jobs: JobStore,
        results: ResultCache,
        bus: EventBus,
        result_ttl: timedelta,
        lease_seconds: int,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._results = results
        self._bus = bus
        self._result_ttl = result_ttl
        self._lease_seconds = lease_seconds
        self._clock = clock

    def write(self, job: Job, end: JobEnd) -> Job:
        """Write the terminal status; return the ended job.

        Retries for the length of a lease: all the work is done by now. Raises LeaseLostError, or the last error.
        """
        deadline = self._clock.monotonic() + self._lease_seconds
        while True:
            try:
                return self._jobs.finish(job, end)
            except LeaseLostError:
                raise
            except Exception as error:
                if self._clock.monotonic() > deadline:
                    raise
                logger.warning("terminal write failed", action="terminal_write_failed", reason=type(error).__name__)
                self._clock.sleep(_RETRY_SECONDS)

    def cache_result(self, cache_key: str | None, job: Job) -> None:
        """Cache an ended job's result for equal jobs. Best effort: without it, equal jobs are executed."""
        if cache_key is None or job.outputs is None:
            return
        try:
            result = CachedResult(job_id=job.id, outputs=job.outputs)
            self._results.put(cache_key, result, expires_at=self._clock.now() + self._result_ttl)
        except Exception as error:  # noqa: BLE001  see the docstring
            logger.warning("result not cached", action="result_not_cached", reason=type(error).__name__)

    def publish(self, job: Job) -> None:
        """Publish the "job ended" event. Idempotent: the event id is derived from the job."""
        self._bus.publish(JobEndedEvent.of(job))
