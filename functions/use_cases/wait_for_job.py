"""Wait until a job has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.use_cases.get_job import get_job

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from gateway.ports import Clock, JobStore

# The record is polled quickly at first, for short jobs, then once a second. The result is late by at most a fifth of
# the time that the job took; a million reads are $0.125, and the first five seconds have 20 of them.
_FIRST_DELAY_SECONDS = 0.025
_MAX_DELAY_SECONDS = 1.0
_DELAY_GROWTH = 1.2


def wait_for_job(jobs: JobStore, clock: Clock, caller: Principal, job_id: str, *, seconds: float) -> Job:
    """Read a job until it has ended or the time is up; 0 seconds: read it once. Raises JobNotFoundError."""
    job = get_job(jobs, caller, job_id)
    deadline = clock.monotonic() + seconds
    delay_seconds = _FIRST_DELAY_SECONDS
    while not job.status.ended and (remaining_seconds := deadline - clock.monotonic()) > 0:
        clock.sleep(min(delay_seconds, remaining_seconds))
        delay_seconds = min(delay_seconds * _DELAY_GROWTH, _MAX_DELAY_SECONDS)
        job = jobs.get(job.id) or job
    return job
