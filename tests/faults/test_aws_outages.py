"""AWS does not answer, or not for a while."""

from __future__ import annotations

import json
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
)
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

STEPS_ONCE_A_JOB = tuple(step for step in STEPS if step not in ("renew", "ChangeMessageVisibility"))
DYNAMODB_STEPS = ("PutItem", "claim", "renew", "finish")
# More often than boto3 tries.
OFTEN = 4


def test_each_call_fails_for_a_while(env: FaultEnvironment) -> None:
    """When boto3 has given up, the job is tried again, and what ComfyUI has done is not done again."""
    env.lease_seconds = BOTO_RETRIES_LEASE_SECONDS
    for step in STEPS_ONCE_A_JOB:
        env.aws_proxy.inject(step, internal_error, times=OFTEN)
    jobs = [env.harness.submit(sleep_prompt(0.5)) for _ in range(3)]
    with env.executor_process():
        ended = env.check_ended(*jobs)
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert env.executed_prompt_count() == len(jobs)
    assert not env.aws_proxy.pending_faults()


def test_calls_that_are_never_answered(env: FaultEnvironment) -> None:
    """They are given up after seconds, and hold up neither the lease nor the other jobs."""
    env.lease_seconds = 24  # a job may meet two of them, of five seconds each
    for step in ("renew", "PutEvents", "DeleteMessage"):
        env.aws_proxy.inject(step, no_response)
    for step in ("claim", "finish", "ChangeMessageVisibility"):
        env.aws_proxy.inject(step, executed_without_response)
    jobs = [env.harness.submit(prompt) for prompt in (sleep_prompt(9.0), image_prompt(), image_prompt())]
    with env.executor_process(MAX_CONCURRENCY="3"):
        ended = env.check_ended(*jobs)
        assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert not env.aws_proxy.pending_faults()


def accept_large(env: FaultEnvironment) -> str:
    """Accept a job whose prompt comes from S3."""
    job_id = env.harness.create_job()
    key = f"prompts/{uuid.uuid4()}.json"
    env.harness.objects.put(key, json.dumps(image_prompt()).encode(), content_type="application/json")
    message = JobMessage(
        job_id=job_id, priority=env.harness.job(job_id).priority, correlation_id="correlated", prompt_key=key
    )
    env.harness.queue.send(message, group="somebody")
    return job_id


def test_a_prompt_that_breaks_off_while_it_is_read(env: FaultEnvironment) -> None:
    """Half a prompt is read again, at once."""
    env.aws_proxy.inject("GetObject", response_truncated, times=2)
    with env.executor_process():
        (job,) = env.check_ended(accept_large(env))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_prompt_that_cannot_be_read_for_a_while(env: FaultEnvironment) -> None:
    """The attempt breaks off and the job is given back: the next one does not wait until the lease has run out."""
    env.lease_seconds = 60
    env.aws_proxy.inject("GetObject", internal_error, times=OFTEN)
    with env.executor_process():
        (job,) = env.check_ended(accept_large(env))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_an_event_that_is_not_taken(env: FaultEnvironment) -> None:
    """PutEvents answers 200 and takes nothing: the event is published again, the job does not run again."""
    env.aws_proxy.inject("PutEvents", event_rejected)
    with env.executor_process():
        (job,) = env.check_ended(env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.aws_proxy.request_counts["PutEvents"] == 2


def test_nothing_is_received_while_the_table_is_away(env: FaultEnvironment) -> None:
    """Jobs wait where they are and use up nothing; they run when the table is back."""
    for step in DYNAMODB_STEPS:
        env.aws_proxy.inject(step, internal_error, times=1000)
    jobs = [env.harness.submit(image_prompt()) for _ in range(3)]
    with env.executor_process():
        wait_until(lambda: env.aws_proxy.request_counts["PutItem"] > OFTEN, "reports that fail")
        env.assert_nothing_is_received()
        env.aws_proxy.clear_faults()
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_all_of_aws_away_for_longer_than_a_lease(env: FaultEnvironment) -> None:
    """The executor takes its prompt off ComfyUI before another could run it; the job goes on when AWS is back."""
    with env.executor_process():
        job_id = env.harness.submit(sleep_prompt(3.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        for step in STEPS:
            env.aws_proxy.inject(step, reset, times=1000)
        wait_until(lambda: env.prompt_count() == 0, "a prompt taken off")
        assert env.executed_prompt_count() == 1  # interrupted
        env.aws_proxy.clear_faults()
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
