"""The port JobList."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import Job, JobStatus
from gateway.domain.job_filter import JobFilter
from tests.component.samples import NOW, SOON, new_job

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

SECOND = timedelta(seconds=1)


@pytest.fixture
def stored(ports: Ports) -> list[Job]:
    """Store six jobs of two owners and two workflows, a second apart, and return them oldest first."""
    jobs = [
        new_job(owner=("ada", "bob")[n % 2], workflow_id=("w", "v")[n // 3], created_at=NOW + n * SECOND)
        for n in range(6)
    ]
    for job in jobs:
        ports.jobs.create(job)
    return jobs


def all_pages(ports: Ports, which: JobFilter, limit: int) -> list[Job]:
    """Read a list page by page."""
    found: list[Job] = []
    position = None
    while True:
        page = ports.job_list.page(which, limit=limit, position=position)
        assert len(page.jobs) <= limit
        found += page.jobs
        position = page.next_page_position
        if position is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 6, 50])
@pytest.mark.parametrize("owner", [None, "ada"])
def test_pages_have_every_job_once_newest_first(ports: Ports, stored: list[Job], owner: str | None, limit: int) -> None:
    """Whatever the page size, for all owners or one."""
    expected = [job for job in reversed(stored) if owner in (None, job.owner)]
    assert all_pages(ports, JobFilter(owner=owner), limit) == expected


@pytest.mark.parametrize("owner", [None, "ada"])
def test_a_list_is_filtered(ports: Ports, stored: list[Job], owner: str | None) -> None:
    """By workflow, status, and period of acceptance: from `after` on, and before `before`."""
    running = ports.jobs.claim(stored[4].id, executor_id="e", now=NOW, lease_until=SOON)
    stored[4] = running

    def expect(which: JobFilter, *expected: Job) -> None:
        mine = [job for job in expected if owner in (None, job.owner)]
        assert all_pages(ports, replace(which, owner=owner), 2) == mine

    expect(JobFilter(workflow_id="v"), stored[5], stored[4], stored[3])
    expect(JobFilter(status=JobStatus.RUNNING), running)
    expect(JobFilter(status=JobStatus.QUEUED, workflow_id="v"), stored[5], stored[3])
    expect(JobFilter(after=NOW + 4 * SECOND), stored[5], stored[4])
    expect(JobFilter(before=NOW + 2 * SECOND), stored[1], stored[0])
    expect(JobFilter(after=NOW + SECOND, before=NOW + 3 * SECOND), stored[2], stored[1])
    expect(JobFilter(after=NOW + 3 * SECOND, before=NOW + SECOND))


def test_an_empty_list_is_one_empty_page(ports: Ports) -> None:
    """There is no next page."""
    page = ports.job_list.page(JobFilter(owner="nobody"), limit=10, position=None)
    assert (list(page.jobs), page.next_page_position) == ([], None)


def test_accepted_jobs_are_read_oldest_first(ports: Ports, stored: list[Job]) -> None:
    """All owners' jobs, from the first time on and before the second."""
    assert list(ports.job_list.accepted(NOW, NOW + SECOND * 100)) == stored
    assert list(ports.job_list.accepted(NOW + SECOND, NOW + 3 * SECOND)) == stored[1:3]
