"""How a job ends: the one terminal write, the result for equal jobs, the event.

The record says the end before anybody is told of it. Who crashes in between leaves the event to whoever receives the
job's message next; its id is the same however often it is published.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from executor.log import logger
from gateway.domain.messages import JobEndedEvent
from gateway.domain.result_cache import CachedResult
from gateway.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from gateway.domain.job import Job, JobEnd
    from gateway.ports import EventBus, JobStore, ResultCache

_AGAIN_SECONDS = 1.0


class JobFinisher:
    """Ends jobs, as the attempt that holds them. `result_ttl`: how long their results are kept for equal jobs."""

    def __init__(  # noqa: PLR0913  all are named
        self,
        *,
        jobs: JobStore,
        results: ResultCache,
        bus: EventBus,
        result_ttl: timedelta,
        lease_seconds: int,
        now: Callable[[], datetime],
    ) -> None:
        self._jobs = jobs
        self._results = results
        self._bus = bus
        self._result_ttl = result_ttl
        self._lease_seconds = lease_seconds
        self._now = now

    def write(self, job: Job, end: JobEnd) -> Job:
        """Write the end, again and again while the lease stands: all the work is done by now. Raises LeaseLostError."""
        deadline = time.monotonic() + self._lease_seconds
        while True:
            try:
                return self._jobs.finish(job, end)
            except LeaseLostError:
                raise
            except Exception as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("end not written", action="end_not_written", reason=type(error).__name__)
                time.sleep(_AGAIN_SECONDS)

    def keep_result(self, cache_key: str | None, job: Job) -> None:
        """Keep an ended job's result for equal jobs. Without it they run as well, so nothing waits for it to work."""
        if cache_key is None or job.outputs is None:
            return
        try:
            result = CachedResult(job_id=job.id, outputs=job.outputs)
            self._results.put(cache_key, result, expires_at=self._now() + self._result_ttl)
        except Exception as error:  # noqa: BLE001  see above
            logger.warning("result not kept", action="result_not_kept", reason=type(error).__name__)

    def announce(self, job: Job) -> None:
        """Publish the event of a job's end; again is harmless."""
        self._bus.publish(JobEndedEvent.of(job))
