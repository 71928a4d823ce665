"""Several executors on one queue: a job runs on one of them, whatever the queue and the clocks do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until
from tests.faults.executor_process import wrong_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.fault_environment import FaultEnvironment


@pytest.fixture
def other_simulator() -> Iterator[SimulatorServer]:
    """Run the ComfyUI of a second executor."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server


def test_two_executors_share_the_work(env: FaultEnvironment, other_simulator: SimulatorServer) -> None:
    """Each job runs once, and both executors run some."""
    with env.healthy_executor(executor_id="a"), env.healthy_executor(other_simulator.url, executor_id="b"):
        jobs = [env.harness.submit(sleep_prompt(0.3)) for _ in range(8)]
        ended = env.check_ended(*jobs, comfyuis=(other_simulator,))
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    runs = [env.executed_prompt_count(), env.executed_prompt_count(other_simulator)]
    assert sum(runs) == len(jobs)
    assert min(runs) > 0


def test_duplicate_messages_run_a_job_once(env: FaultEnvironment, other_simulator: SimulatorServer) -> None:
    """A duplicate that arrives while the job runs is left alone, a later one is deleted."""
    prompt = sleep_prompt(1.0)
    with env.healthy_executor(executor_id="a"), env.healthy_executor(other_simulator.url, executor_id="b"):
        job_id = env.harness.submit(prompt)
        for _ in range(3):
            env.harness.send_message(job_id, prompt)
        env.harness.wait_until_ended(job_id)
        env.harness.send_message(job_id, prompt)
        (job,) = env.check_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() + env.executed_prompt_count(other_simulator) == 1


def test_a_job_is_claimed_when_its_lease_expires(env: FaultEnvironment) -> None:
    """Not only a whole lease after its message was received."""
    env.lease_seconds = 30
    job_id = env.harness.create_job()
    now = SYSTEM_CLOCK.now()
    env.harness.jobs.claim(job_id, executor_id="gone", now=now, lease_until=now + timedelta(seconds=3))
    env.harness.send_message(job_id, image_prompt())
    with env.healthy_executor():
        job = env.harness.wait_until_ended(job_id, env.lease_seconds / 2)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_a_frozen_executor_writes_nothing(env: FaultEnvironment, other_simulator: SimulatorServer) -> None:
    """Another executor claimed its job: when it continues, it cancels its prompt and writes nothing."""
    with env.executor_process() as process:
        job_id = env.harness.submit(sleep_prompt(3.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        process.freeze()
        env.simulator.faults.worker_stuck = True  # so that the prompt is still there, however long the rest takes
        with env.healthy_executor(other_simulator.url):
            wait_until(lambda: env.harness.job(job_id).attempt == 2, "a second attempt")
            process.thaw()
            env.simulator.faults.worker_stuck = False
            (job,) = env.check_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    (entry,) = env.history().values()
    assert entry["status"]["status_str"] == "error"  # interrupted


@pytest.mark.parametrize("skew", ["+60", "-60"])
def test_a_clock_that_is_wrong_by_a_minute(env: FaultEnvironment, other_simulator: SimulatorServer, skew: str) -> None:
    """An executor with such a clock neither claims a job that another one holds, nor loses its own."""
    prompt = sleep_prompt(2.0)
    with (
        env.executor_process(wrapper=wrong_clock(skew)),
        env.executor_process(other_simulator.url),
    ):
        wait_until(lambda: env.harness.heartbeat_count() == 2, "two heartbeats")
        job_id = env.harness.submit(prompt)
        for _ in range(6):
            env.harness.send_message(job_id, prompt)
        (job,) = env.check_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() + env.executed_prompt_count(other_simulator) == 1


@pytest.mark.parametrize("skew", ["+60", "-60"])
def test_a_wrong_clock_does_not_delay_recovery(env: FaultEnvironment, skew: str) -> None:
    """The lease of a killed executor expires on time, whatever its clock was."""
    hold = env.aws_proxy.hold("PutObject", forwarded=False)
    job_id = env.harness.submit(image_prompt())
    with env.executor_process(wrapper=wrong_clock(skew)) as process:
        hold.wait()
        process.kill()
        hold.reset()
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
