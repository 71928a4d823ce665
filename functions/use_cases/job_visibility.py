"""Jobs as far as a caller may know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.http.auth import caller_of
from gateway.domain.job import is_job_id
from gateway.errors import JobNotFoundError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver

    from gateway.domain.job import Job
    from gateway.ports import JobStore


def visible_job(app: APIGatewayRestResolver, jobs: JobStore, job_id: str) -> Job:
    """Read a job that the caller may see.

    Raises JobNotFoundError for another owner's job as for one that does not exist: the two cannot be told apart.
    """
    job = jobs.get(job_id) if is_job_id(job_id) else None
    if job is None or not caller_of(app).may_see(job):
        raise JobNotFoundError(job_id)
    return job
