"""The job metrics function, on the stream records of real writes."""

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
from tests.component.samples import LATER, NOW, OUTPUT, SOON, SUCCESS, new_job, run_concurrently

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
    """Return the job metrics function on the stream of the gateway's table."""
    return JobMetricsFunction(aws, aws_clients)


@pytest.fixture
def jobs(aws_gateway: AwsGateway) -> JobStore:
    """Return the job store of the gateway."""
    return aws_gateway.wiring.jobs


@pytest.fixture
def job_counts(aws_gateway: AwsGateway) -> JobCountStore:
    """Return the count store of the gateway."""
    return aws_gateway.wiring.job_counts


def started(jobs: JobStore, **fields: Any) -> Job:  # noqa: ANN401  the fields of a job
    """Create a job, and claim it two seconds later."""
    job = jobs.create(new_job(**fields))
    claimed_at = NOW + timedelta(seconds=2)
    return jobs.claim(job.id, executor_id="e", now=claimed_at, lease_until=SOON)


def create_jobs_of_every_outcome(jobs: JobStore) -> None:
    """Create jobs with every possible outcome."""
    jobs.create(new_job())
    started(jobs)
    jobs.finish(started(jobs), SUCCESS)
    jobs.finish(started(jobs), OOM)
    jobs.finish(started(jobs), replace(SUCCESS, status=JobStatus.CANCELED, outputs=None, execution_ms=None))
    jobs.create(new_job(status=JobStatus.SUCCEEDED, completed_at=NOW, outputs=(OUTPUT,), progress=100, cache_hit=True))
    jobs.cancel(jobs.create(new_job()).id, now=LATER)
    canceled = started(jobs)
    jobs.cancel(canceled.id, now=NOW)
    jobs.finish(canceled, replace(SUCCESS, status=JobStatus.CANCELED, outputs=None, execution_ms=None))
    released = started(jobs)
    jobs.renew(released, lease_until=SOON, progress=40)
    jobs.release(released)
    again = jobs.claim(released.id, executor_id="f", now=LATER, lease_until=LATER + timedelta(seconds=30))
    jobs.finish(again, SUCCESS)


EXPECTED_COUNTS = {
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


def write_other_items(aws_gateway: AwsGateway) -> None:
    """Write the table's other kinds of items, with keys similar to those of jobs."""
    aws_gateway.wiring.limiter.count("KEY#k") if aws_gateway.wiring.limiter else None
    aws_gateway.caller("k", "JOB", Role.USER)
    aws_gateway.wiring.results.put(
        "JOB", CachedResult(job_id="j", outputs=(OUTPUT,)), expires_at=SOON
    ) if aws_gateway.wiring.results else None
    item = {"pk": {"S": "EXECUTOR"}, "sk": {"S": "JOB"}, "status": {"S": "queued"}}
    aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)
    item = {"pk": {"S": "JOB#1"}, "sk": {"S": "DELIVERY"}, "status": {"S": "queued"}}
    aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)


def passes_filter(aws_gateway: AwsGateway, record: dict[str, Any]) -> bool:
    """Return whether Lambda's event filter passes a record. Its patterns have the syntax of EventBridge."""
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


def test_every_outcome_is_counted_once(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """Every job counts once, whatever its outcome and number of attempts."""
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    write_other_items(aws_gateway)
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: EXPECTED_COUNTS}


def test_the_event_filter_passes_only_counted_records(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction
) -> None:
    """The deployed event filter passes exactly the records that the function counts; not its own writes."""
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    write_other_items(aws_gateway)
    waiting, ended = aws_gateway.wiring.jobs.create(new_job()), aws_gateway.wiring.jobs.create(new_job())
    aws_gateway.wiring.jobs.cancel(ended.id, now=LATER)
    aws_gateway.clients.dynamodb.update_item(  # deliveries are written after the job has ended
        TableName=aws_gateway.table_name,
        Key=job_item.key(ended.id),
        UpdateExpression="SET deliveryCount = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    for job in (waiting, ended, started(aws_gateway.wiring.jobs)):
        aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=job_item.key(job.id))
    records = job_metrics_function.records()
    passed = [record for record in records if passes_filter(aws_gateway, record)]
    kinds = {record["eventName"] for record in passed}
    assert kinds == {"INSERT", "MODIFY", "REMOVE"}
    assert len(passed) < len(records)
    for record in records:
        with aws_calls(aws_gateway.clients) as calls:
            job_metrics_function.count([record])
        assert calls == (["dynamodb.TransactWriteItems"] if record in passed else [])
    assert not [record for record in job_metrics_function.records() if passes_filter(aws_gateway, record)]


def test_a_batch_is_one_write(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """A batch costs one transaction, also with jobs of several days."""
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    aws_gateway.wiring.jobs.create(new_job(created_at=NOW - timedelta(days=1)))
    records = job_metrics_function.records()
    assert len(records) > 20
    with aws_calls(aws_gateway.clients) as calls:
        job_metrics_function.count(records)
    assert calls == ["dynamodb.TransactWriteItems"]
    assert aws_gateway.wiring.job_counts.since(date.min) == {
        TODAY: EXPECTED_COUNTS,
        TODAY - timedelta(days=1): {"queued": 1},
    }


def test_a_repeated_batch_is_not_counted_twice(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, aws: dict[str, str]
) -> None:
    """A repeated batch is not counted twice: Lambda repeats one if the function failed after its write."""
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    records = job_metrics_function.records()
    job_metrics_function.count(records)
    job_metrics_function.count(records)
    JobMetricsFunction(aws, aws_gateway.clients).count(records)  # another instance of the function
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: EXPECTED_COUNTS}


def test_a_failed_batch_is_counted_on_its_retry(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the counts cannot be written, the function raises, so that Lambda repeats the batch."""
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    records = job_metrics_function.records()
    with monkeypatch.context() as broken:
        broken.setattr("gateway.aws.dynamodb.transaction.write", lambda *_, **__: False)  # always a conflict
        with pytest.raises(JobCountsConflictError):
            job_metrics_function.count(records)
    job_metrics_function.count(records)
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: EXPECTED_COUNTS}


def test_concurrent_updates_of_a_day_are_all_counted(job_counts: JobCountStore) -> None:
    """Concurrent updates are all counted: Lambda invokes the function per shard of the stream."""
    run_concurrently(8, lambda _: job_counts.add({TODAY: DailyJobCounts(queued=1)}, batch_id=str(uuid.uuid4())))
    assert job_counts.since(TODAY) == {TODAY: {"queued": 8}}


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_an_expired_record_is_not_counted_as_queued_or_running(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, status: JobStatus
) -> None:
    """A queued or running job whose record expires is no longer counted as queued or running."""
    job = started(aws_gateway.wiring.jobs) if status is JobStatus.RUNNING else aws_gateway.wiring.jobs.create(new_job())
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY)[TODAY][status] == 1
    aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=job_item.key(job.id))
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY)[TODAY][status] == 0


def test_counts_expire_with_the_jobs_of_their_day(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction
) -> None:
    """Counts expire with the last job of their day, and their item stays small."""
    late = NOW.replace(hour=23, minute=59, second=59, microsecond=999000)
    job = aws_gateway.wiring.jobs.create(new_job(created_at=late))
    create_jobs_of_every_outcome(aws_gateway.wiring.jobs)
    job_metrics_function.catch_up()
    (counts,) = aws_gateway.stored("STATS")
    (record,) = [item for item in aws_gateway.stored("JOB#") if item["pk"]["S"].endswith(job.id)]
    assert 0 < int(counts["expiresAt"]["N"]) - int(record["expiresAt"]["N"]) <= 1
    size = sum(len(name) + len(next(iter(value.values()))) for name, value in counts.items())
    assert size < 400


def test_an_invalid_record_is_skipped(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invalid record is logged by its key and skipped: raising would repeat its batch."""
    log = io.StringIO()
    monkeypatch.setattr(event_logger.registered_handler, "stream", log)
    for number, fields in enumerate(({"status": "secret"}, {"secret": "x"}, {"status": "failed", "error": "{secret"})):
        fields_of_job = job_item.fields_of(new_job(), expires_at=SOON)
        text = {"pk": f"JOB#{number}", "sk": "JOB", "jobOrder": fields_of_job["jobOrder"], "correlationId": "c"}
        item = {name: {"S": value} for name, value in {**text, **fields}.items()}
        aws_gateway.clients.dynamodb.put_item(TableName=aws_gateway.table_name, Item=item)
    aws_gateway.wiring.jobs.create(new_job())
    job_metrics_function.catch_up()
    assert aws_gateway.wiring.job_counts.since(TODAY) == {TODAY: {"queued": 1}}
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["action"], line["key"]) for line in lines] == [("job_not_counted", f"JOB#{n}") for n in range(3)]
    assert "secret" not in log.getvalue()


def test_failed_jobs_are_logged_with_their_correlation_ids(
    aws_gateway: AwsGateway,
    job_metrics_function: JobMetricsFunction,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A failed job is logged with the correlation id of its request, without its inputs."""
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


def test_succeeded_jobs_are_not_logged(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A succeeded job is not logged: its executor has logged it, and logs are billed by the byte."""
    log = io.StringIO()
    monkeypatch.setattr(event_logger.registered_handler, "stream", log)
    aws_gateway.wiring.jobs.finish(started(aws_gateway.wiring.jobs), SUCCESS)
    job_metrics_function.catch_up()
    assert log.getvalue() == ""


def test_metrics_are_written_for_each_batch(
    aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each batch with jobs writes one line in the embedded metric format."""
    aws_gateway.wiring.jobs.finish(started(aws_gateway.wiring.jobs), SUCCESS)
    job_metrics_function.catch_up()
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert (line["JobsAccepted"], line["JobsStarted"], line["JobsSucceeded"]) == (1, 1, 1)
    assert (line["QueueWait"], line["RunTime"]) == ([2000], [1234])
    write_other_items(aws_gateway)
    job_metrics_function.catch_up()
    assert capsys.readouterr().out == ""


def test_days_are_in_utc(aws_gateway: AwsGateway, job_metrics_function: JobMetricsFunction) -> None:
    """A job is counted on its UTC day."""
    aws_gateway.wiring.jobs.create(new_job(created_at=SYSTEM_CLOCK.now()))
    job_metrics_function.catch_up()
    assert list(aws_gateway.wiring.job_counts.since(date.min)) == [datetime.now(UTC).date()]
