"""What AWS does to one call, and what becomes of it: a lost answer to a conditional write, a throttled send, a date."""

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
from gateway.domain import timestamps
from gateway.domain.job import JobEnd, JobFailure, JobStatus, Priority
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobMessage
from gateway.errors import LeaseLostError, StateConflictError
from testing.aws_faults import reset, response_lost, response_truncated, throttled
from testing.fault_proxy import FaultProxy, ProxiedRequest, Response, aws_step
from tests.component.samples import LATER, NOW, SOON, SUCCESS, new_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.domain.job import Job
    from local.emulator import Emulator

FAILURE = JobFailure(code="EXECUTOR_LOST", message="lost", retryable=True)


@pytest.fixture
def proxy(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Give a proxy before the embedded AWS, through which clients that are made now go."""
    with FaultProxy(emulator.endpoint_url, aws_step) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


@pytest.fixture
def jobs(proxy: FaultProxy, aws: dict[str, str]) -> DynamoJobStore:  # noqa: ARG001  it has to stand first
    """Give the jobs, as they are behind the proxy."""
    return DynamoJobStore(Clients().dynamodb, aws["TABLE_NAME"], 30)


@pytest.fixture
def untouched(aws: dict[str, str], aws_clients: Clients) -> DynamoJobStore:
    """Give the same jobs, straight."""
    return DynamoJobStore(aws_clients.dynamodb, aws["TABLE_NAME"], 30)


def claimed(jobs: DynamoJobStore, job: Job, executor_id: str = "e-1") -> Job:
    """Claim for half a minute."""
    return jobs.claim(job.id, executor_id=executor_id, now=NOW, lease_until=SOON)


def test_a_claim_whose_answer_is_lost_stands(proxy: FaultProxy, jobs: DynamoJobStore) -> None:
    """The repeated call finds the job held by itself: one attempt, and its lease at once."""
    job = jobs.create(new_job())
    proxy.inject("claim", response_lost)
    held = claimed(jobs, job)
    assert (held.attempt, held.lease_owner) == (1, "e-1")
    assert jobs.get(job.id) == held


def test_a_repeated_claim_is_refused_what_another_holds(
    proxy: FaultProxy, jobs: DynamoJobStore, untouched: DynamoJobStore
) -> None:
    """Under the same name even, and within the same millisecond: a message that came twice can do that."""
    job = jobs.create(new_job())

    def overtaken(proxied: ProxiedRequest) -> None:
        claimed(untouched, job)
        reset(proxied)

    proxy.inject("claim", overtaken)
    with pytest.raises(JobNotClaimableError) as caught:
        claimed(jobs, job)
    assert caught.value.job == untouched.get(job.id)


def test_an_end_whose_answer_is_lost_stands(proxy: FaultProxy, jobs: DynamoJobStore) -> None:
    """The repeated call finds the job ended by itself."""
    job = claimed(jobs, jobs.create(new_job()))
    proxy.inject("finish", response_lost)
    ended = jobs.finish(job, SUCCESS)
    assert ended.outputs == SUCCESS.outputs
    assert jobs.get(job.id) == ended


def test_a_repeated_end_is_refused_when_the_job_ended_otherwise(
    proxy: FaultProxy, jobs: DynamoJobStore, untouched: DynamoJobStore
) -> None:
    """What another attempt wrote in between stands."""
    first = claimed(jobs, jobs.create(new_job()))
    proxy.inject("finish", reset)
    untouched.release(first)
    ended = untouched.finish(claimed(untouched, first), JobEnd(status=JobStatus.FAILED, completed_at=LATER))
    with pytest.raises(LeaseLostError):
        jobs.finish(first, SUCCESS)
    assert jobs.get(first.id) == ended


ENDS: dict[str, Callable[[DynamoJobStore, str], Job]] = {
    "cancel": lambda jobs, job_id: jobs.cancel(job_id, now=NOW),
    "fail": lambda jobs, job_id: jobs.fail_if_unleased(job_id, FAILURE, now=NOW, leases_expired_before=NOW),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_from_outside_whose_answer_is_lost_stands(proxy: FaultProxy, jobs: DynamoJobStore, end: str) -> None:
    """Nobody is told that the job had ended already when it is this very call that ended it."""
    job = jobs.create(new_job())
    proxy.inject("renew", response_lost)  # any update that is neither a claim nor an attempt's end
    ended = ENDS[end](jobs, job.id)
    assert ended.completed_at == NOW
    with pytest.raises((StateConflictError, JobNotClaimableError)):
        ENDS[end](jobs, job.id)


def test_a_throttled_message_is_sent_again(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """SQS names throttling in a way that boto3 does not know."""
    urls = {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
    queue = SqsJobQueue(Clients().sqs, urls)
    proxy.inject("SendMessage", throttled, times=2)
    message = JobMessage(job_id="j", priority=Priority.LOW, correlation_id="c", prompt={})
    queue.send(message, group="g")
    received = queue.receive(Priority.LOW, wait_seconds=2)
    assert received is not None
    assert received.message == message


def test_a_file_that_breaks_off_is_read_again(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """Half of it is never taken for the whole."""
    objects = S3ObjectStore(Clients().s3, aws["BUCKET_NAME"])
    content = b"0123456789" * 1000
    objects.put("prompts/a", content, content_type="text/plain")
    proxy.inject("GetObject", response_truncated, times=2)
    assert objects.get("prompts/a") == content


@pytest.mark.parametrize("hours", [-3, 0, 3])
def test_the_clock_is_that_of_the_answers(proxy: FaultProxy, aws: dict[str, str], hours: int) -> None:
    """Whatever the host's own clock shows; and the same again when the host is right."""

    def dated(shift: timedelta) -> Callable[[ProxiedRequest], None]:
        def answer(proxied: ProxiedRequest) -> None:
            response = proxied.forward()
            headers = {name: value for name, value in response.headers.items() if name.lower() != "date"}
            date = format_datetime(timestamps.now() + shift, usegmt=True)
            proxied.respond(Response(response.status, response.body, {**headers, "Date": date}))

        return answer

    client, clock = Clients().dynamodb, AwsClock()
    clock.follow(client)
    for shift in (timedelta(hours=hours), timedelta()):
        proxy.inject("DescribeTable", dated(shift))
        client.describe_table(TableName=aws["TABLE_NAME"])
        assert abs(clock.now() - timestamps.now() - shift) < timedelta(seconds=1.5)


def test_a_right_clock_is_left_alone(proxy: FaultProxy, aws: dict[str, str]) -> None:
    """Dates are in whole seconds, so that they say nothing about less than one."""
    del proxy
    client, clock = Clients().dynamodb, AwsClock()
    clock.follow(client)
    client.describe_table(TableName=aws["TABLE_NAME"])
    assert abs(clock.now() - timestamps.now()) < timedelta(milliseconds=20)
