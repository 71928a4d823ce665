"""Single calls to AWS: a lost response to a conditional write, a throttled send, a wrong Date header."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from gateway.aws.clients import Clients
from gateway.aws.clock import AwsClock
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobEnd, JobFailure, JobStatus, Priority
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobMessage
from gateway.errors import LeaseLostError, StateConflictError
from testing.aws_faults import reset, response_lost, response_truncated, throttled
from testing.fault_proxy import FaultProxy, ProxiedRequest, ServerResponse, aws_step
from tests.component.samples import LATER, NOW, SOON, SUCCESS, new_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.domain.job import Job
    from local.emulator import Emulator

FAILURE = JobFailure(code="EXECUTOR_LOST", message="lost", retryable=True)


@pytest.fixture
def proxy(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Run a fault proxy in front of the emulator, for clients that are created afterwards."""
    with FaultProxy(emulator.endpoint_url, aws_step) as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)  # the address of the emulator is signed
        yield running


@pytest.fixture
def jobs(proxy: FaultProxy, aws: dict[str, str]) -> DynamoJobStore:  # noqa: ARG001  it has to stand first
    """Return the job store behind the proxy."""
    return DynamoJobStore(Clients().dynamodb, aws["TABLE_NAME"], 30)


@pytest.fixture
def direct(aws: dict[str, str], aws_clients: Clients) -> DynamoJobStore:
    """Return the same job store without proxy."""
    return DynamoJobStore(aws_clients.dynamodb, aws["TABLE_NAME"], 30)


def claimed(jobs: DynamoJobStore, job: Job, executor_id: str = "e-1") -> Job:
    """Claim a job for half a minute."""
    return jobs.claim(job.id, executor_id=executor_id, now=NOW, lease_until=SOON)


def test_a_claim_with_a_lost_response_is_valid(proxy: FaultProxy, jobs: DynamoJobStore) -> None:
    """The retry recognizes its own claim: one attempt, with its lease."""
    job = jobs.create(new_job())
    proxy.inject("claim", response_lost)
    held = claimed(jobs, job)
    assert (held.attempt, held.lease_owner) == (1, "e-1")
    assert jobs.get(job.id) == held


def test_a_retried_claim_does_not_take_the_job_of_another(
    proxy: FaultProxy, jobs: DynamoJobStore, direct: DynamoJobStore
) -> None:
    """Even of the same executor within the same millisecond, as with duplicate messages."""
    job = jobs.create(new_job())

    def overtaken(proxied: ProxiedRequest) -> None:
        claimed(direct, job)
        reset(proxied)

    proxy.inject("claim", overtaken)
    with pytest.raises(JobNotClaimableError) as caught:
        claimed(jobs, job)
    assert caught.value.job == direct.get(job.id)


def test_a_finish_with_a_lost_response_is_valid(proxy: FaultProxy, jobs: DynamoJobStore) -> None:
    """The retry recognizes its own write."""
    job = claimed(jobs, jobs.create(new_job()))
    proxy.inject("finish", response_lost)
    ended = jobs.finish(job, SUCCESS)
    assert ended.outputs == SUCCESS.outputs
    assert jobs.get(job.id) == ended


def test_a_retried_finish_does_not_overwrite_another(
    proxy: FaultProxy, jobs: DynamoJobStore, direct: DynamoJobStore
) -> None:
    """The terminal status that another attempt wrote in between stays."""
    first = claimed(jobs, jobs.create(new_job()))
    proxy.inject("finish", reset)
    direct.release(first)
    ended = direct.finish(claimed(direct, first), JobEnd(status=JobStatus.FAILED, completed_at=LATER))
    with pytest.raises(LeaseLostError):
        jobs.finish(first, SUCCESS)
    assert jobs.get(first.id) == ended


ENDS: dict[str, Callable[[DynamoJobStore, str], Job]] = {
    "cancel": lambda jobs, job_id: jobs.cancel(job_id, now=NOW),
    "fail": lambda jobs, job_id: jobs.fail_if_unleased(job_id, FAILURE, now=NOW, leases_expired_before=NOW),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_cancel_or_fail_with_a_lost_response_is_valid(proxy: FaultProxy, jobs: DynamoJobStore, end: str) -> None:
    """The retry does not report that the job has already ended."""
    job = jobs.create(new_job())
    proxy.inject("renew", response_lost)  # any update that is neither a claim nor an attempt's end
    ended = ENDS[end](jobs, job.id)
    assert ended.completed_at == NOW
    with pytest.raises((StateConflictError, JobNotClaimableError)):
        ENDS[end](jobs, job.id)


def test_a_throttled_message_is_sent_again(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """SQS uses an error code for throttling that boto3 does not know."""
    urls = {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
    queue = SqsJobQueue(Clients().sqs, urls)
    proxy.inject("SendMessage", throttled, times=2)
    message = JobMessage(job_id="j", priority=Priority.LOW, correlation_id="c", prompt={})
    queue.send(message, group="g")
    received = queue.receive(Priority.LOW, wait_seconds=2)
    assert received is not None
    assert received.message == message


def test_a_truncated_file_is_read_again(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """A part of a file is never returned."""
    objects = S3ObjectStore(Clients().s3, aws["BUCKET_NAME"])
    content = b"0123456789" * 1000
    objects.put("prompts/a", content, content_type="text/plain")
    proxy.inject("GetObject", response_truncated, times=2)
    assert objects.get("prompts/a") == content


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_the_clock_follows_the_date_header(proxy: FaultProxy, aws: dict[str, str], hours: int) -> None:
    """Whatever the host's own clock shows, also when it is corrected."""

    def dated(shift: timedelta) -> Callable[[ProxiedRequest], None]:
        def with_date(proxied: ProxiedRequest) -> None:
            response = proxied.forward()
            headers = {name: value for name, value in response.headers.items() if name.lower() != "date"}
            date = format_datetime(SYSTEM_CLOCK.now() + shift, usegmt=True)
            proxied.respond(ServerResponse(response.status, response.body, {**headers, "Date": date}))

        return with_date

    client, clock = Clients().dynamodb, AwsClock()
    clock.follow(client)
    for shift in (timedelta(hours=hours), timedelta()):
        proxy.inject("DescribeTable", dated(shift))
        client.describe_table(TableName=aws["TABLE_NAME"])
        assert abs(clock.now() - SYSTEM_CLOCK.now() - shift) < timedelta(seconds=1.5)


def test_a_right_clock_is_not_changed(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """The header has whole seconds, and cannot correct less than one."""
    del proxy
    client, clock = Clients().dynamodb, AwsClock()
    clock.follow(client)
    client.describe_table(TableName=aws["TABLE_NAME"])
    assert abs(clock.now() - SYSTEM_CLOCK.now()) < timedelta(milliseconds=20)
