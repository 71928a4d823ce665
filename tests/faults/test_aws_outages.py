"""AWS fails or does not respond for a while."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from gateway.domain.messages import JobMessage
from testing.aws_faults import (
    BOTO_RETRIES_LEASE_SECONDS,
    STEPS,
    event_rejected,
    executed_without_response,
    internal_error,
    no_response,
    reset,
    response_truncated,
    throttled,
)
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

STEPS_ONCE_A_JOB = tuple(step for step in STEPS if step not in ("renew", "ChangeMessageVisibility"))
DYNAMODB_STEPS = ("PutItem", "claim", "renew", "finish")
FAILURES = 4  # more than boto3 retries


def test_a_failing_call_is_retried_by_another_attempt(env: FaultEnvironment) -> None:
    """After boto3 has given up, the job is retried, and ComfyUI does not execute its prompt again."""
    env.lease_seconds = BOTO_RETRIES_LEASE_SECONDS
    for step in STEPS_ONCE_A_JOB:
        env.aws_proxy.inject(step, internal_error, times=FAILURES)
    jobs = [env.harness.submit(sleep_prompt(0.5)) for _ in range(3)]
    with env.executor_process():
        ended = env.check_ended(*jobs)
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert env.executed_prompt_count() == len(jobs)
    assert not env.aws_proxy.pending_faults()


def test_calls_without_a_response_block_no_job(env: FaultEnvironment) -> None:
    """They time out after seconds, and delay neither lease renewals nor other jobs."""
    env.lease_seconds = 24  # one job may have two of them, each with a timeout of five seconds
    for step in ("renew", "PutEvents", "DeleteMessage"):
        env.aws_proxy.inject(step, no_response)
    for step in ("claim", "finish", "ChangeMessageVisibility"):
        env.aws_proxy.inject(step, executed_without_response)
    jobs = [env.harness.submit(prompt) for prompt in (sleep_prompt(9.0), image_prompt(), image_prompt())]
    with env.executor_process(MAX_CONCURRENCY="3"):
        ended = env.check_ended(*jobs)
        assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert not env.aws_proxy.pending_faults()


def submit_large(env: FaultEnvironment) -> str:
    """Submit a job whose prompt is stored in S3."""
    job_id = env.harness.create_job()
    key = f"prompts/{uuid.uuid4()}.json"
    env.harness.objects.put(key, json.dumps(image_prompt()).encode(), content_type="application/json")
    message = JobMessage(
        job_id=job_id, priority=env.harness.job(job_id).priority, correlation_id="correlated", prompt_key=key
    )
    env.harness.queue.send(message, group="somebody")
    return job_id


def test_a_truncated_prompt_is_read_again(env: FaultEnvironment) -> None:
    """At once, in the same attempt."""
    env.aws_proxy.inject("GetObject", response_truncated, times=2)
    with env.executor_process():
        (job,) = env.check_ended(submit_large(env))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_an_unreadable_prompt_is_read_when_the_store_responds(env: FaultEnvironment) -> None:
    """In the same attempt, under its lease."""
    env.lease_seconds = 60
    env.aws_proxy.inject("GetObject", internal_error, times=FAILURES)
    with env.executor_process():
        (job,) = env.check_ended(submit_large(env))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_rejected_event_is_published_again(env: FaultEnvironment) -> None:
    """PutEvents responds with 200 and a failed entry: the job does not run again."""
    env.aws_proxy.inject("PutEvents", event_rejected)
    with env.executor_process():
        (job,) = env.check_ended(env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.aws_proxy.request_counts["PutEvents"] == 2


def test_nothing_is_received_while_the_table_fails(env: FaultEnvironment) -> None:
    """Jobs wait in their queue and use up no attempt; they run when the table is back."""
    for step in DYNAMODB_STEPS:
        env.aws_proxy.inject(step, internal_error, times=1000)
    jobs = [env.harness.submit(image_prompt()) for _ in range(3)]
    with env.executor_process():
        wait_until(lambda: env.aws_proxy.request_counts["PutItem"] > FAILURES, "failing heartbeats")
        env.assert_nothing_is_received()
        env.aws_proxy.clear_faults()
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_an_outage_longer_than_a_lease_cancels_the_prompt(env: FaultEnvironment) -> None:
    """The executor cancels its prompt before another executor may claim the job, which runs again when AWS is back."""
    with env.executor_process():
        job_id = env.harness.submit(sleep_prompt(3.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        for step in STEPS:
            env.aws_proxy.inject(step, reset, times=1000)
        wait_until(lambda: env.prompt_count() == 0, "the canceled prompt")
        assert env.executed_prompt_count() == 1  # interrupted
        env.aws_proxy.clear_faults()
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_outputs_wait_for_a_store_that_rejects_requests(env: FaultEnvironment) -> None:
    """With MAX_ATTEMPTS of 1, jobs succeed in their first attempt, and are executed once."""
    env.aws_proxy.inject("PutObject", throttled, times=12)
    with env.executor_process(MAX_ATTEMPTS="1"):
        jobs = [env.harness.submit(image_prompt()) for _ in range(3)]
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert env.executed_prompt_count() == len(jobs)


def test_a_shutdown_while_the_store_hangs(env: FaultEnvironment) -> None:
    """The job is released without counting the attempt, and the process ends without waiting for the upload."""
    env.lease_seconds = 60
    env.aws_proxy.inject("PutObject", no_response, times=1000)
    with env.executor_process(SHUTDOWN_GRACE_SECONDS="0", MAX_ATTEMPTS="1") as process:
        job_id = env.harness.submit(image_prompt())
        wait_until(lambda: env.aws_proxy.request_counts["PutObject"] > 0, "an upload")
        requested_at = time.monotonic()
        process.terminate()
        process.wait()
        assert time.monotonic() - requested_at < 10
    assert env.is_released(job_id)
    with env.healthy_executor(MAX_ATTEMPTS="1"):
        (job,) = env.check_ended(job_id)
    assert (job.status, job.counted_attempts) == (JobStatus.SUCCEEDED, 1)
