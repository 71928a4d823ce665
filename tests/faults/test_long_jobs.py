"""Jobs that run much longer than a lease."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus
from testing.fault_proxy import ProxiedRequest, ServerResponse
from testing.prompts import sleep_prompt
from testing.waiting import wait_until
from tests.faults.executor_process import full_disk

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

JOB_SECONDS = 5.0


def test_lease_and_visibility_timeout_are_renewed(env: FaultEnvironment) -> None:
    """While the job runs, its lease never expires and its message is never visible."""
    with env.executor_process(), env.healthy_executor():
        job_id = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: env.harness.job(job_id).status is JobStatus.RUNNING, "a claim")
        while (job := env.harness.job(job_id)).status is JobStatus.RUNNING:
            assert job.lease_expires_at is not None
            assert job.lease_expires_at > SYSTEM_CLOCK.now()
            assert env.harness.visible_message_count() == 0
            time.sleep(0.05)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def visibility_limit_exceeded(proxied: ProxiedRequest) -> None:
    """Reject a change of visibility, as SQS does twelve hours after a message was received."""
    message = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    body = {"__type": "com.amazonaws.sqs#InvalidParameterValueException", "message": message}
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-query-error": "InvalidParameterValue;Sender",
    }
    proxied.respond(ServerResponse(400, json.dumps(body).encode(), headers))


def test_a_message_that_becomes_visible_is_left_alone(env: FaultEnvironment) -> None:
    """Its receiver leaves the job to the executor that holds the lease."""
    env.aws_proxy.inject("ChangeMessageVisibility", visibility_limit_exceeded, times=1000)
    with env.executor_process(), env.healthy_executor():
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() == 1


def test_a_full_disk(env: FaultEnvironment) -> None:
    """Jobs run although the executor can write no file, not even its log."""
    with env.executor_process(wrapper=full_disk()):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(0.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
