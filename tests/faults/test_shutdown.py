"""SIGTERM: jobs that finish within the grace period succeed, the others are released at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from testing.aws_faults import STEPS, reset
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

# Longer than any of these tests may take: a job that is not released would not run again.
LEASE_SECONDS = 60


def test_jobs_are_released(env: FaultEnvironment) -> None:
    """The running and the waiting one: another executor runs them without waiting for their leases."""
    env.lease_seconds = LEASE_SECONDS
    with env.executor_process(SHUTDOWN_GRACE_SECONDS="0") as process:
        jobs = [env.harness.submit(sleep_prompt(1.5)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one running and one waiting prompt")
        process.terminate()
        process.wait()
        assert env.prompt_count() == 0
    with env.healthy_executor():
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_a_shutdown_costs_no_attempt(env: FaultEnvironment) -> None:
    """With MAX_ATTEMPTS of 1, the job succeeds after any number of shutdowns, as on spot instances."""
    job_id = env.harness.submit(sleep_prompt(1.5))
    for _ in range(2):
        with env.executor_process(SHUTDOWN_GRACE_SECONDS="0", MAX_ATTEMPTS="1") as process:
            wait_until(lambda: env.prompt_count() == 1, "a running prompt")
            process.terminate()
            process.wait()
    with env.executor_process(MAX_ATTEMPTS="1"):
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)


def test_short_jobs_are_finished(env: FaultEnvironment) -> None:
    """No further message is received, and the process exits when its jobs are done."""
    with env.executor_process() as process:
        jobs = [env.harness.submit(sleep_prompt(0.7)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one running and one waiting prompt")
        process.terminate()
        later = env.harness.submit(image_prompt())
        process.wait()
    assert env.harness.job(later).status is JobStatus.QUEUED
    with env.healthy_executor():
        ended = env.check_ended(*jobs, later)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_a_shutdown_without_aws(env: FaultEnvironment) -> None:
    """The process exits in time although it cannot release its job, which runs again after its lease has expired."""
    with env.executor_process(SHUTDOWN_GRACE_SECONDS="0") as process:
        job_id = env.harness.submit(sleep_prompt(3.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        for step in STEPS:
            env.aws_proxy.inject(step, reset, times=1000)
        requested_at = time.monotonic()
        process.terminate()
        process.wait()
        assert time.monotonic() - requested_at < 15
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
