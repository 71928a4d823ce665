"""SIGTERM: what fits into the grace time ends well, the rest is given back at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from testing.aws_faults import STEPS, reset
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

# Longer than any of these tests may take: a job that is not given back would not be taken over.
LEASE_SECONDS = 60


def test_jobs_are_given_back(env: FaultEnvironment) -> None:
    """Both the one that runs and the one that waits in ComfyUI: another executor ends them without waiting."""
    env.lease_seconds = LEASE_SECONDS
    with env.executor_process(SHUTDOWN_GRACE_SECONDS="0") as process:
        jobs = [env.harness.submit(sleep_prompt(1.5)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one prompt running and one waiting")
        process.terminate()
        process.wait()
        assert env.prompt_count() == 0
    with env.healthy_executor():
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_executors_that_are_told_to_stop_cost_no_attempt(env: FaultEnvironment) -> None:
    """Hosts that are taken away again and again: the job ends well however often, though it may break off but once."""
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
    """No message is received any more, and the process ends with the jobs it has."""
    with env.executor_process() as process:
        jobs = [env.harness.submit(sleep_prompt(0.7)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one prompt running and one waiting")
        process.terminate()
        later = env.harness.submit(image_prompt())
        process.wait()
    assert env.harness.job(later).status is JobStatus.QUEUED
    with env.healthy_executor():
        ended = env.check_ended(*jobs, later)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_an_end_without_aws(env: FaultEnvironment) -> None:
    """The process ends in time though nothing can be given back; the lease runs out, and the job goes on."""
    with env.executor_process(SHUTDOWN_GRACE_SECONDS="0") as process:
        job_id = env.harness.submit(sleep_prompt(3.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        for step in STEPS:
            env.aws_proxy.inject(step, reset, times=1000)
        asked_at = time.monotonic()
        process.terminate()
        process.wait()
        assert time.monotonic() - asked_at < 15
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
