"""`GET /jobs?…`: from a query string to what a list is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.http import pagination
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.domain.job_filter import JobFilter
from gateway.domain.principal import Role
from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import Problem, RequestInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.domain.page_position import PagePosition
    from gateway.domain.principal import Principal

PARAMETERS = ("status", "workflowId", "after", "before", "limit", "cursor", "offset")


@dataclass(frozen=True, slots=True)
class JobsQuery:
    """What a list is asked for."""

    which: JobFilter
    limit: int
    position: PagePosition | None


def read(parameters: Mapping[str, str], caller: Principal) -> JobsQuery:
    """Read the query string. A user's list holds its own jobs only. Raises RequestInvalidError with all problems."""
    problems = [
        Problem(name, f"Unknown; a list takes {', '.join(PARAMETERS)}.")
        for name in parameters
        if name not in PARAMETERS
    ]
    workflow_id = parameters.get("workflowId")
    if workflow_id is not None and not ID_PATTERN.fullmatch(workflow_id):
        problems.append(Problem("workflowId", "Not a workflow's id."))
    if parameters.get("offset", "0") != "0":
        problems.append(Problem("offset", "Only 0 is taken; follow nextCursor for the next page."))
    which = JobFilter(
        owner=None if caller.role is Role.ADMIN else caller.owner,
        status=_status(parameters.get("status"), problems),
        workflow_id=workflow_id,
        after=_moment("after", parameters.get("after"), problems),
        before=_moment("before", parameters.get("before"), problems),
    )
    limit = pagination.read_limit(parameters, problems)
    position = pagination.read_position(parameters, problems)
    if problems:
        raise RequestInvalidError(problems)
    return JobsQuery(which, limit, position)


def _status(text: str | None, problems: list[Problem]) -> JobStatus | None:
    if text is None:
        return None
    try:
        return JobStatus(text)
    except ValueError:
        problems.append(Problem("status", f"Must be one of {', '.join(JobStatus)}."))
        return None


def _moment(name: str, text: str | None, problems: list[Problem]) -> datetime | None:
    if text is None:
        return None
    try:
        return timestamps.from_text(text)
    except (ValueError, OverflowError):
        problems.append(Problem(name, "Must be an instant like 2026-01-31T12:00:00.000Z."))
        return None
