"""The function that counts jobs, on what the table's stream tells of real writes."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.logs import event_logger
from gateway.aws.dynamodb import job_item
from gateway.aws.resources import JOB_CHANGES
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Job, JobEnd, JobFailure, JobStatus
from gateway.domain.job_counts import DailyJobCounts
from gateway.domain.principal import Role
from gateway.domain.result_cache import CachedResult
from gateway.errors import JobCountsConflictError
from tests.component.api import aws_calls
from tests.component.job_metrics import JobMetricsFunction
from tests.component.samples import LATER, NOW, OUTPUT, SOON, SUCCESS, at_once, new_job

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.ports import JobCountStore, JobStore
    from tests.component.api import AwsGateway

TODAY = NOW.date()
OOM = JobEnd(
    status=JobStatus.FAILED,
    completed_at=LATER,
    execution_ms=766,
    error=JobFailure(code="COMFYUI_OOM", message="Out of memory.", retryable=False),
)


@pytest.fixture
def job_metrics_function(aws: dict[str, str], aws_clients: Clients) -> JobMetricsFunction:
    """Follow the stream of the gateway's table."""
    return JobMetricsFunction(aws, aws_clients)


@pytest.fixture
def jobs(aws_gateway: AwsGateway) -> JobStore:
    """Give the jobs of the aws_gateway."""
    return aws_gateway.wiring.jobs


@pytest.fixture
def job_counts(aws_gateway: AwsGateway) -> JobCountStore:
    """Give the counts of the aws_gateway."""
    return aws_gateway.wiring.job_counts


def started(jobs: JobStore, **fields: Any) -> Job:  # noqa: ANN401  a job's
    """Accept a job and have it claimed two seconds later."""
    job = jobs.create(new_job(**fields))
    claimed_at = NOW + timedelta(seconds=2)
    return jobs.claim(job.id, executor_id="e", now=claimed_at, lease_until=SOON)


def everything(jobs: JobStore) -> None:
    """Let jobs go every way there is."""
    jobs.create(new_job())
    started(jobs)
    jobs.finish(started(jobs), SUCCESS)
    jobs.finish(started(jobs), OOM)
    jobs.finish(started(jobs), replace(SUCCESS, status=JobStatus.CANCELED, outputs=None, execution_ms=None))
    jobs.create(new_job(status=JobStatus.SUCCEEDED, completed_at=NOW, outputs=(OUTPUT,), progress=100, cache_hit=True))
    jobs.cancel(jobs.create(new_job()).id, now=LATER)
    asked = started(jobs)
    jobs.cancel(asked.id, now=NOW)
    jobs.finish(asked, replace(SUCCESS, status=JobStatus.CANCELED, outputs=None, execution_ms=None))
    given_back = started(jobs)
    jobs.renew(given_back, lease_until=SOON, progress=40)
    jobs.release(given_back)
    again = jobs.claim(given_back.id, executor_id="f", now=LATER, lease_until=LATER + timedelta(seconds=30))
    jobs.finish(again, SUCCESS)


OF_EVERYTHING = {
    "queued": 1,
    "running": 1,
    "succeeded": 3,
    "failed": 1,
    "failed:COMFYUI_OOM": 1,
    "canceled": 3,
    "cacheHits": 1,
    "waits": 6,
    "waitMs": 6 * 2000,
    "runs": 3,
    "runMs": 1234 + 766 + 1234,
}


def write_what_is_no_job(aws_gateway: AwsGateway) -> None:
    """Write one of everything else that the table has, with keys as like those of jobs as can be."""
    aws_gateway.wiring.limiter.count("KEY#k") if aws_gateway.wiring.limiter else None
    aws_gateway.caller("k", "JOB", Role.USER)
    aws_gateway.wiring.results.put(
        "JOB", CachedResult(job_id="j", outputs=(OUTPUT,)), expires_at=SOON
    ) if aws_gateway.wiring.results else None
    item = {"pk": {"S": "EXECUTOR"}, "sk": {"S": "JOB"}, "status": {"S": "queued"}}
    aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)
    item = {"pk": {"S": "JOB#1"}, "sk": {"S": "DELIVERY"}, "status": {"S": "queued"}}
    aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)


def fits(aws_gateway: AwsGateway, record: dict[str, Any]) -> bool:
    """Tell whether Lambda would hand a record over: its patterns are those of EventBridge."""
    envelope = {
        "id": "1",
        "account": "1",
        "source": "s",
        "time": "2026-01-31T12:00:00Z",
        "region": "r",
        "resources": [],
    }
    event = json.dumps({**envelope, "detail-type": "d", "detail": record})
    return any(
        aws_gateway.clients.events.test_event_pattern(EventPattern=json.dumps({"detail": pattern}), Event=event)[
            "Result"
        ]
        for pattern in JOB_CHANGES.patterns
    )


def test_whatever_becomes_of_jobs_is_counted_once(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction
) -> None:
    """However they end, and however often they are tried."""
    everything(aws_gateway.wiring.jobs)
    write_what_is_no_job(aws_gateway)
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: OF_EVERYTHING}


def test_lambda_hands_over_what_is_counted_and_nothing_else(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction
) -> None:
    """The patterns, by which the deployment is set up, and the function agree; the counts' own writes fit neither."""
    everything(aws_gateway.wiring.jobs)
    write_what_is_no_job(aws_gateway)
    waiting, ended = aws_gateway.wiring.jobs.create(new_job()), aws_gateway.wiring.jobs.create(new_job())
    aws_gateway.wiring.jobs.cancel(ended.id, now=LATER)
    aws_gateway.clients.dynamodb.update_item(  # what is written of its webhook comes after its end
        TableName=aws_gateway.table_name,
        Key=job_item.key(ended.id),
        UpdateExpression="SET deliveryCount = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    for job in (waiting, ended, started(aws_gateway.wiring.jobs)):
        aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=job_item.key(job.id))
    records = job_metrics_function.records()
    handed_over = [record for record in records if fits(aws_gateway, record)]
    kinds = {record["eventName"] for record in handed_over}
    assert kinds == {"INSERT", "MODIFY", "REMOVE"}
    assert len(handed_over) < len(records)
    for record in records:
        with aws_calls(aws_gateway.clients) as calls:
            job_metrics_function.count([record])
        assert calls == (["dynamodb.TransactWriteItems"] if record in handed_over else [])
    assert not [record for record in job_metrics_function.records() if fits(aws_gateway, record)]


def test_a_batch_is_one_write(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """However many jobs it tells of; jobs of other days included."""
    everything(aws_gateway.wiring.jobs)
    aws_gateway.wiring.jobs.create(new_job(created_at=NOW - timedelta(days=1)))
    records = job_metrics_function.records()
    assert len(records) > 20
    with aws_calls(aws_gateway.clients) as calls:
        job_metrics_function.count(records)
    assert calls == ["dynamodb.TransactWriteItems"]
    assert aws_gateway.wiring.job_counts.since(date.min) == {
        TODAY: OF_EVERYTHING,
        TODAY - timedelta(days=1): {"queued": 1},
    }


def test_a_batch_that_comes_again_is_not_counted_again(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, aws: dict[str, str]
) -> None:
    """Lambda repeats one whose call broke off, though its counts may be written."""
    everything(aws_gateway.wiring.jobs)
    records = job_metrics_function.records()
    job_metrics_function.count(records)
    job_metrics_function.count(records)
    JobMetricsFunction(aws, aws_gateway.clients).count(records)  # another instance of the function
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: OF_EVERYTHING}


def test_a_batch_that_failed_is_counted_when_it_comes_again(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written raises, or Lambda would go on to the next batch."""
    everything(aws_gateway.wiring.jobs)
    records = job_metrics_function.records()
    with monkeypatch.context() as broken:
        broken.setattr("gateway.aws.dynamodb.transaction.write", lambda *_, **__: False)  # another one is always faster
        with pytest.raises(JobCountsConflictError):
            job_metrics_function.count(records)
    job_metrics_function.count(records)
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: OF_EVERYTHING}


def test_counts_of_the_same_day_can_be_changed_at_the_same_moment(job_counts: JobCountStore) -> None:
    """Lambda calls the function for each shard of the stream on its own."""
    at_once(8, lambda _: job_counts.add({TODAY: DailyJobCounts(queued=1)}, batch_id=str(uuid.uuid4())))
    assert job_counts.since(TODAY) == {TODAY: {"queued": 8}}


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_a_record_that_is_removed_leaves_no_ghost(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, status: JobStatus
) -> None:
    """A job without an end, whose record is as old as records get, is none that waits or runs."""
    job = started(aws_gateway.wiring.jobs) if status is JobStatus.RUNNING else aws_gateway.wiring.jobs.create(new_job())
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY)[TODAY][status] == 1
    aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=job_item.key(job.id))
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY)[TODAY][status] == 0


def test_counts_are_kept_as_long_as_the_jobs_of_their_day(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction
) -> None:
    """To the last one, and no longer; and they stay small."""
    late = NOW.replace(hour=23, minute=59, second=59, microsecond=999000)
    job = aws_gateway.wiring.jobs.create(new_job(created_at=late))
    everything(aws_gateway.wiring.jobs)
    job_metrics_function.catch_up()
    (counts,) = aws_gateway.stored("STATS")
    (record,) = [item for item in aws_gateway.stored("JOB#") if item["pk"]["S"].endswith(job.id)]
    assert 0 < int(counts["expiresAt"]["N"]) - int(record["expiresAt"]["N"]) <= 1
    size = sum(len(name) + len(next(iter(value.values()))) for name, value in counts.items())
    assert size < 400


def test_a_record_that_cannot_be_read_holds_nothing_up(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch would come again and again with it; so it is told in the log, by its key alone, and left out."""
    log = io.StringIO()
    monkeypatch.setattr(event_logger.registered_handler, "stream", log)
    for number, fields in enumerate(({"status": "secret"}, {"secret": "x"}, {"status": "failed", "error": "{secret"})):
        whole = job_item.fields_of(new_job(), expires_at=SOON)
        text = {"pk": f"JOB#{number}", "sk": "JOB", "jobOrder": whole["jobOrder"], "correlationId": "c"}
        item = {name: {"S": value} for name, value in {**text, **fields}.items()}
        aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)
    aws_gateway.wiring.jobs.create(new_job())
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: {"queued": 1}}
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["action"], line["key"]) for line in lines] == [("job_not_counted", f"JOB#{n}") for n in range(3)]
    assert "secret" not in log.getvalue()


def test_ends_are_reported_with_their_correlation_ids(
    aws_gateway: AwsGateway,
    job_metrics_function: JobMetricsFunction,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A job's outcome is found by the id of the request that it came with; its inputs are in no line."""
    log = io.StringIO()
    monkeypatch.setattr(event_logger.registered_handler, "stream", log)
    job = started(
        aws_gateway.wiring.jobs, correlation_id="find-me", inputs={"prompt": "secret"}, metadata={"m": "secret"}
    )
    aws_gateway.wiring.jobs.finish(job, OOM)
    job_metrics_function.catch_up()
    (line,) = [json.loads(line) for line in log.getvalue().splitlines()]
    allowed = {name: line[name] for name in ("action", "job_id", "correlation_id", "status", "error")}
    assert allowed == {
        "action": "job_end_counted",
        "job_id": job.id,
        "correlation_id": "find-me",
        "status": "failed",
        "error": "COMFYUI_OOM",
    }
    assert "secret" not in log.getvalue() + capsys.readouterr().out


def test_success_costs_no_line(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its executor has told it, and logs are billed by the byte."""
    log = io.StringIO()
    monkeypatch.setattr(event_logger.registered_handler, "stream", log)
    aws_gateway.wiring.jobs.finish(started(aws_gateway.wiring.jobs), SUCCESS)
    job_metrics_function.catch_up()
    assert log.getvalue() == ""


def test_metrics_are_written_for_each_batch(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that CloudWatch Logs reads, for jobs accepted until they end; none for what is not counted."""
    aws_gateway.wiring.jobs.finish(started(aws_gateway.wiring.jobs), SUCCESS)
    job_metrics_function.catch_up()
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert (line["JobsAccepted"], line["JobsStarted"], line["JobsSucceeded"]) == (1, 1, 1)
    assert (line["QueueWait"], line["RunTime"]) == ([2000], [1234])
    write_what_is_no_job(aws_gateway)
    job_metrics_function.catch_up()
    assert capsys.readouterr().out == ""


def test_days_are_those_of_utc(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """The present is in the counts that are read for today."""
    aws_gateway.wiring.jobs.create(new_job(created_at=SYSTEM_CLOCK.now()))
    job_metrics_function.catch_up()
    assert list(aws_gateway.wiring.job_counts.since(date.min)) == [datetime.now(UTC).date()]
