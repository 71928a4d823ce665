"""Read the log of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.use_cases.get_job import get_job
from gateway.domain.job import LogLevel, LogLine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from gateway.ports import JobStore


def read_job_log(jobs: JobStore, caller: Principal, job_id: str) -> Sequence[LogLine]:
    """Read all lines; the first and the last one are made from the job's record. Raises JobNotFoundError."""
    job = get_job(jobs, caller, job_id)
    lines = [LogLine(at=job.created_at, level=LogLevel.INFO, message="Accepted."), *job.log]
    if job.completed_at is not None:
        lines.append(_last_line(job, job.completed_at))
    return lines


def _last_line(job: Job, at: datetime) -> LogLine:
    if job.error is not None:
        return LogLine(at=at, level=LogLevel.ERROR, message=f"Failed: {job.error.code}: {job.error.message}")
    if job.cache_hit:
        return LogLine(at=at, level=LogLevel.INFO, message="Succeeded with the files of an earlier job (cache).")
    took = "" if job.execution_ms is None else f" ComfyUI needed {job.execution_ms / 1000:.1f} s."
    return LogLine(at=at, level=LogLevel.INFO, message=f"{job.status.capitalize()}.{took}")
