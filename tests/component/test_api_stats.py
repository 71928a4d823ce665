"""`GET /stats`: job statistics for admins, at a constant cost."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobEnd, JobFailure, JobStatus
from gateway.domain.job_counts import DailyJobCounts
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.job_metrics import JobMetricsFunction
from tests.component.samples import new_job
from tests.component.test_api_cache import resubmit, run_and_cache
from tests.component.test_api_cancel import claim
from tests.component.workflows import post, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.aws.clients import Clients
    from tests.component.api import Caller

EMPTY = {
    "jobs": {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "canceled": 0, "total": 0},
    "failedByCode": {},
    "averageProcessingTimeMs": None,
    "averageQueueWaitMs": None,
    "cacheHitRate": None,
}


@pytest.fixture
def job_metrics_function(aws: dict[str, str], aws_clients: Clients) -> JobMetricsFunction:
    """Return the job metrics function on the stream of the gateway's table."""
    return JobMetricsFunction(aws, aws_clients)


def fail(aws_gateway: AwsGateway, job_id: str, code: str) -> None:
    """Claim a job, and finish it as failed."""
    failure = JobFailure(code=code, message="It failed.", retryable=False)
    end = JobEnd(status=JobStatus.FAILED, completed_at=SYSTEM_CLOCK.now(), execution_ms=95, error=failure)
    aws_gateway.wiring.jobs.finish(claim(aws_gateway, job_id), end)


def count_days_ago(aws_gateway: AwsGateway, job_counts: Mapping[int, DailyJobCounts]) -> None:
    """Add counts for past days, keyed by days ago."""
    today = SYSTEM_CLOCK.now().date()
    differences = {today - timedelta(days=days): tally for days, tally in job_counts.items()}
    aws_gateway.wiring.job_counts.add(differences, batch_id=str(uuid.uuid4()))


def test_jobs_are_counted_by_outcome(
    aws_gateway: AwsGateway, ada: Caller, job_metrics_function: JobMetricsFunction
) -> None:
    """Jobs of all owners and outcomes are counted once the stream has been processed."""
    run_and_cache(aws_gateway, ada)  # runs for 5 ms
    assert resubmit(ada).json["status"] == "cache_hit"
    aws_gateway.bob.post(f"/jobs/{post(aws_gateway.bob).json['jobId']}/cancel")
    for code in ("COMFYUI_OOM", "COMFYUI_OOM", "EXECUTOR_LOST"):
        fail(aws_gateway, post(ada).json["jobId"], code)
    claim(aws_gateway, post(ada).json["jobId"])
    post(ada)
    job_metrics_function.catch_up()
    stats = aws_gateway.admin.get("/stats").json
    assert stats["jobs"] == {"queued": 1, "running": 1, "succeeded": 2, "failed": 3, "canceled": 1, "total": 8}
    assert stats["failedByCode"] == {"COMFYUI_OOM": 2, "EXECUTOR_LOST": 1}
    assert stats["averageProcessingTimeMs"] == round((5 + 3 * 95) / 4)
    assert 0 <= stats["averageQueueWaitMs"] < 5000
    assert stats["cacheHitRate"] == 1 / 8


def test_a_retried_job_counts_once(
    aws_gateway: AwsGateway, ada: Caller, job_metrics_function: JobMetricsFunction
) -> None:
    """A job that was released and retried counts once, with the wait until its first start."""
    job_id = post(ada).json["jobId"]
    jobs, now = aws_gateway.wiring.jobs, SYSTEM_CLOCK.now()
    for wait_ms in (4000, 9000):
        at = now + timedelta(milliseconds=wait_ms)
        job = jobs.claim(job_id, executor_id="e", now=at, lease_until=at + timedelta(seconds=30))
        if wait_ms == 4000:
            jobs.release(job)
    jobs.finish(job, JobEnd(status=JobStatus.SUCCEEDED, completed_at=at, execution_ms=700, outputs=()))
    job_metrics_function.catch_up()
    stats = aws_gateway.admin.get("/stats").json
    assert stats["jobs"]["total"] == stats["jobs"]["succeeded"] == 1
    assert 4000 <= stats["averageQueueWaitMs"] < 6000
    assert stats["averageProcessingTimeMs"] == 700


def test_statistics_are_empty_at_first(aws_gateway: AwsGateway) -> None:
    """Without jobs, averages are null; `since` is the start of the first day of the retention time."""
    stats = aws_gateway.admin.get("/stats").json
    first_day = (SYSTEM_CLOCK.now() - timedelta(days=30)).date()
    assert stats == {**EMPTY, "since": f"{first_day}T00:00:00.000Z"}


def test_days_before_the_retention_time_are_ignored(aws_gateway: AwsGateway) -> None:
    """Expired counts are ignored: DynamoDB deletes them with a delay."""
    count_days_ago(aws_gateway, {days: DailyJobCounts(succeeded=1) for days in (0, 30, 31)})
    assert aws_gateway.admin.get("/stats").json["jobs"]["total"] == 2


def test_only_admins_are_allowed(aws_gateway: AwsGateway) -> None:
    """Users get 403, callers without a key 401; other methods are not allowed."""
    for caller, status, code in ((aws_gateway.ada, 403, "FORBIDDEN"), (aws_gateway.anonymous, 401, "AUTH_FAILED")):
        response = caller.get("/stats")
        assert (response.status, response.json["error"]) == (status, code)
    assert aws_gateway.admin.post("/stats").status == 405
    assert aws_gateway.admin.get("/stats/x").status == 404


def test_statistics_cost_one_query(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """The query reads one small item per day, and no jobs."""
    count_days_ago(aws_gateway, {days: DailyJobCounts(succeeded=10**6, runs=10**6) for days in range(31)})
    aws_gateway.admin.get("/stats")
    for total in (31 * 10**6, 31 * 10**6 + 20):
        with aws_calls(aws_gateway.clients) as calls:
            assert aws_gateway.admin.get("/stats").json["jobs"]["total"] == total
        assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"]
        assert len(aws_gateway.stored("STATS")) == 31
        for _ in range(20):
            run(aws_gateway, aws_gateway.wiring.jobs.create(new_job(created_at=SYSTEM_CLOCK.now())).id, {})
        job_metrics_function.catch_up()


def test_the_retention_time_is_the_window() -> None:
    """The window is RETENTION_DAYS."""
    gateway = Gateway.in_memory(RETENTION_DAYS="7")
    first_day = (SYSTEM_CLOCK.now() - timedelta(days=7)).date()
    assert gateway.admin.get("/stats").json["since"].startswith(str(first_day))
