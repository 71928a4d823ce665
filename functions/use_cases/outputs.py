"""Get the output files of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.use_cases.get_job import get_job
from gateway.errors import OutputNotFoundError

if TYPE_CHECKING:
    from gateway.domain.job import Output
    from gateway.domain.principal import Principal
    from gateway.ports import JobStore, ObjectStore


def find_output(jobs: JobStore, caller: Principal, job_id: str, *names: str) -> Output:
    """Return the first output of the job that has one of these names; a name is only compared, never used as a path.

    Raises JobNotFoundError or OutputNotFoundError.
    """
    job = get_job(jobs, caller, job_id)
    output = next((found for name in names if (found := job.output(name))), None)
    if output is None:
        raise OutputNotFoundError(job.id)
    return output


def read_output(objects: ObjectStore, job_id: str, output: Output) -> bytes:
    """Read a whole output into memory. Raises OutputNotFoundError when it is no longer stored."""
    try:
        return objects.get(output.key)
    except KeyError:
        raise OutputNotFoundError(job_id) from None
