"""DynamoDB, SQS, S3 and EventBridge throttle, fail, reset connections and lose responses, at every step of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import JobStatus
from testing.aws_faults import BOTO_RETRIES_LEASE_SECONDS, STEPS, internal_error, reset, response_lost, throttled
from testing.prompts import image_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from testing.fault_proxy import ProxiedRequest
    from tests.faults.fault_environment import FaultEnvironment

RENEWALS = {"renew", "ChangeMessageVisibility"}


@pytest.mark.parametrize("fault", [throttled, internal_error, reset, response_lost])
def test_a_single_error_costs_no_attempt(env: FaultEnvironment, fault: Callable[[ProxiedRequest], None]) -> None:
    """One attempt, one execution. A write whose response was lost is recognized as the executor's own."""
    env.lease_seconds = BOTO_RETRIES_LEASE_SECONDS
    for step in STEPS:
        env.aws_proxy.inject(step, fault)
    env.simulator.faults.worker_stuck = True  # the prompt runs until lease and visibility timeout were renewed
    with env.executor_process():
        job_id = env.harness.submit(image_prompt())
        wait_until(lambda: not RENEWALS & env.aws_proxy.pending_faults().keys(), "renewals")
        env.simulator.faults.worker_stuck = False
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() == 1
    assert not env.aws_proxy.pending_faults()
