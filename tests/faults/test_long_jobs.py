"""Jobs that take many leases: an hour at 30 s is 120 of them, here it is five seconds at two."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from testing.fault_proxy import ProxiedRequest, Response
from testing.prompts import sleep_prompt
from testing.waiting import wait_until
from tests.faults.executor_process import full_disk

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

JOB_SECONDS = 5.0


def test_lease_and_message_are_kept_throughout(env: FaultEnvironment) -> None:
    """While the job runs the lease never ends and the message is never there for others to take."""
    with env.executor_process(), env.healthy_executor():
        job_id = env.harness.submit(sleep_prompt(JOB_SECONDS))
        wait_until(lambda: env.harness.job(job_id).status is JobStatus.RUNNING, "a claim")
        while (job := env.harness.job(job_id)).status is JobStatus.RUNNING:
            assert job.lease_expires_at is not None
            assert job.lease_expires_at > timestamps.now()
            assert env.harness.visible_message_count() == 0
            time.sleep(0.05)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def twelve_hours_over(proxied: ProxiedRequest) -> None:
    """Refuse to hide a message any longer, as SQS does twelve hours after it was received."""
    message = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    body = {"__type": "com.amazonaws.sqs#InvalidParameterValueException", "message": message}
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-query-error": "InvalidParameterValue;Sender",
    }
    proxied.respond(Response(400, json.dumps(body).encode(), headers))


def test_a_message_that_can_be_hidden_no_longer(env: FaultEnvironment) -> None:
    """It comes again while the job runs, and whoever receives it leaves the job to the one that holds its lease."""
    env.aws_proxy.inject("ChangeMessageVisibility", twelve_hours_over, times=1000)
    with env.executor_process(), env.healthy_executor():
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() == 1


def test_a_full_disk(env: FaultEnvironment) -> None:
    """An executor needs none: it cannot even write its log, and jobs go on."""
    with env.executor_process(wrapper=full_disk()):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(0.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
