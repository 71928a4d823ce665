"""Cancel a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.logs import api_logger
from functions.use_cases.get_job import get_job
from gateway.domain.messages import JobEndedEvent

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from gateway.ports import Clock, EventBus, JobStore


def cancel_job(jobs: JobStore, bus: EventBus, clock: Clock, caller: Principal, job_id: str) -> Job:
    """Cancel a job that no executor holds; ask the executor that holds it to stop it otherwise.

    Returns the job as it is then. Raises JobNotFoundError, and StateConflictError when it has ended already.
    """
    get_job(jobs, caller, job_id)
    job = jobs.cancel(job_id, now=clock.now())
    if job.status.ended:
        # The executor that receives the job's message would publish the event as well, but the queue can be long.
        bus.publish(JobEndedEvent.of(job))
    api_logger.info("cancel requested", action="cancel_requested", job_id=job.id, status=job.status)
    return job
