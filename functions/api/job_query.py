"""Parse the query strings of `GET /jobs` and `GET /jobs/{id}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.http import pagination
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.domain.job_filter import JobFilter
from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.domain.page_position import PagePosition

PARAMETERS = ("status", "workflowId", "after", "before", "limit", "cursor", "offset")


@dataclass(frozen=True, slots=True)
class JobListQuery:
    """Which page of which jobs a caller wants."""

    which: JobFilter
    limit: int
    position: PagePosition | None


def parse_list_query(parameters: Mapping[str, str]) -> JobListQuery:
    """Parse the query string of a list. Raises RequestInvalidError with all problems."""
    problems = [
        Problem(name, f"Unknown; the parameters of a list are {', '.join(PARAMETERS)}.")
        for name in parameters
        if name not in PARAMETERS
    ]
    workflow_id = parameters.get("workflowId")
    if workflow_id is not None and not ID_PATTERN.fullmatch(workflow_id):
        problems.append(Problem("workflowId", "Not a workflow id."))
    if parameters.get("offset", "0") != "0":
        problems.append(Problem("offset", "Must be 0; use nextCursor for the next page."))
    which = JobFilter(
        status=_status(parameters.get("status"), problems),
        workflow_id=workflow_id,
        after=_timestamp("after", parameters.get("after"), problems),
        before=_timestamp("before", parameters.get("before"), problems),
    )
    limit = pagination.read_limit(parameters, problems)
    position = pagination.read_position(parameters, problems)
    if problems:
        raise RequestInvalidError(problems)
    return JobListQuery(which, limit, position)


def _status(text: str | None, problems: list[Problem]) -> JobStatus | None:
    if text is None:
        return None
    try:
        return JobStatus(text)
    except ValueError:
        problems.append(Problem("status", f"Must be one of {', '.join(JobStatus)}."))
        return None


def _timestamp(name: str, text: str | None, problems: list[Problem]) -> datetime | None:
    if text is None:
        return None
    try:
        return timestamps.from_text(text)
    except (ValueError, OverflowError):
        problems.append(Problem(name, "Must be a timestamp like 2026-01-31T12:00:00.000Z."))
        return None


def parse_wait_seconds(text: str | None) -> float:
    """Parse how long to wait for a job's end; 0 when not given. Raises RequestInvalidError."""
    if text is None:
        return 0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise RequestInvalidError([Problem("wait", f"Must be a number of seconds from 0 to {MAX_WAIT_SECONDS}.")])
    return seconds
