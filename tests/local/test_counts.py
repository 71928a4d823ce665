"""Job counts across runs of local mode."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.aws.dynamodb.job_count_store import DynamoJobCountStore
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import DailyJobCounts
from local.recount_jobs import mark_counted, recount_jobs
from tests.component.samples import LATER, NOW, OUTPUT, SOON, SUCCESS, new_job

if TYPE_CHECKING:
    from gateway.aws.clients import Clients

TODAY, YESTERDAY = NOW.date(), NOW.date() - timedelta(days=1)
OF_THE_JOBS = {
    YESTERDAY: {"queued": 1},
    TODAY: {"succeeded": 2, "canceled": 1, "cacheHits": 1, "waits": 1, "waitMs": 2000, "runs": 1, "runMs": 1234},
}


class Run:
    """A run on the table of one test."""

    def __init__(self, environment: dict[str, str], clients: Clients) -> None:
        self.table_name = environment["TABLE_NAME"]
        self._client = clients.dynamodb
        self.jobs = DynamoJobStore(clients.dynamodb, self.table_name, 30)
        self.job_counts = DynamoJobCountStore(clients.dynamodb, self.table_name, 30)

    def start(self) -> None:
        """Start the run."""
        recount_jobs(self._client, self.table_name, self.job_counts)

    def end_in_order(self) -> None:
        """Stop in order, with all jobs counted."""
        mark_counted(self._client, self.table_name)

    @property
    def counts(self) -> dict[date, dict[str, int]]:
        """The counts by day."""
        return {
            day: {n: count for n, count in tally.items() if count}
            for day, tally in self.job_counts.since(date.min).items()
        }


@pytest.fixture
def run(aws: dict[str, str], aws_clients: Clients) -> Run:
    """Return a run with jobs that are not counted."""
    run = Run(aws, aws_clients)
    run.jobs.create(new_job(created_at=NOW - timedelta(days=1)))
    run.jobs.create(new_job(status=JobStatus.SUCCEEDED, completed_at=NOW, outputs=(OUTPUT,), cache_hit=True))
    run.jobs.cancel(run.jobs.create(new_job()).id, now=LATER)
    job = run.jobs.create(new_job())
    claimed = run.jobs.claim(job.id, executor_id="e", now=NOW + timedelta(seconds=2), lease_until=SOON)
    run.jobs.finish(claimed, SUCCESS)
    item = {"pk": {"S": "EXECUTOR"}, "sk": {"S": "JOB"}, "status": {"S": "queued"}}
    aws_clients.dynamodb.put_item(TableName=run.table_name, Item=item)
    return run


def test_uncounted_jobs_are_counted(run: Run) -> None:
    """As in data of a release that did not count."""
    run.start()
    assert run.counts == OF_THE_JOBS


def test_counts_of_a_killed_run_are_corrected(run: Run) -> None:
    """Counts that are too high, too low, or on a day without jobs."""
    wrong = {
        TODAY: DailyJobCounts(running=3, succeeded=1, runMs=-5),
        TODAY + timedelta(days=1): DailyJobCounts(failed=2),
    }
    run.job_counts.add(wrong, batch_id="0" * 35)
    run.start()
    assert run.counts == {**OF_THE_JOBS, TODAY + timedelta(days=1): {}}
    run.start()
    assert run.counts == {**OF_THE_JOBS, TODAY + timedelta(days=1): {}}


def test_counts_of_an_orderly_run_are_not_changed(run: Run) -> None:
    """Counting many jobs takes a while. The marker is valid for the next start only."""
    run.job_counts.add({TODAY: DailyJobCounts(succeeded=7)}, batch_id="1" * 35)
    run.end_in_order()
    run.start()
    assert run.counts == {TODAY: {"succeeded": 7}}
    run.start()
    assert run.counts == OF_THE_JOBS


def test_an_empty_table_has_no_counts(aws: dict[str, str], aws_clients: Clients) -> None:
    """A new folder has no counts."""
    run = Run(aws, aws_clients)
    run.start()
    assert run.counts == {}
