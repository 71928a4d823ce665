"""Get a job that the caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import is_job_id
from gateway.errors import JobNotFoundError

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from gateway.ports import JobStore


def get_job(jobs: JobStore, caller: Principal, job_id: str) -> Job:
    """Read a job.

    Raises JobNotFoundError for another owner's job, as for one that does not exist, so callers cannot tell them apart.
    """
    job = jobs.get(job_id) if is_job_id(job_id) else None
    if job is None or not caller.may_see(job):
        raise JobNotFoundError(job_id)
    return job
