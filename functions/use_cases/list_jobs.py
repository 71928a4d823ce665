"""List jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain.principal import Role

if TYPE_CHECKING:
    from gateway.domain.job_filter import JobFilter
    from gateway.domain.page_position import PagePosition
    from gateway.domain.principal import Principal
    from gateway.ports import JobList, JobPage


def list_jobs(
    job_list: JobList, caller: Principal, which: JobFilter, *, limit: int, position: PagePosition | None
) -> JobPage:
    """Read one page, newest first. A user's list holds its own jobs only, an admin's list everybody's."""
    owner = which.owner if caller.role is Role.ADMIN else caller.owner
    return job_list.page(replace(which, owner=owner), limit=limit, position=position)
