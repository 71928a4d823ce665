"""ComfyUI dies, stays away, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.domain.job import JobStatus
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

STALL_MS = "3000"


def test_comfyui_killed_and_restarted(env: FaultEnvironment) -> None:
    """The prompt that ran and the one that waited are gone with it, and run again."""
    with env.healthy_executor():
        jobs = [env.harness.submit(sleep_prompt(1.0)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one prompt running and one waiting")
        env.simulator.restart()
        ended = env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_comfyui_away_for_long(env: FaultEnvironment) -> None:
    """The attempt that ran is over; nothing is received meanwhile, so that no other attempt or receive is used up."""
    with env.executor_process():
        broken = env.harness.submit(sleep_prompt(1.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.simulator.kill()
        waiting = [env.harness.submit(image_prompt()) for _ in range(3)]
        wait_until(lambda: env.is_released(broken), "the end of the attempt")
        env.assert_nothing_is_received()
        env.simulator.start()
        ended = env.check_ended(broken, *waiting)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 1, 1, 1)]


def test_a_dead_worker_thread(env: FaultEnvironment) -> None:
    """ComfyUI answers, but works no more: what is there is given back, and nothing is taken until it is restarted."""
    with env.executor_process(env.simulator.url, COMFYUI_STALL_MS=STALL_MS):
        hanging = env.harness.submit(sleep_prompt(1.0))
        waiting = env.harness.submit(image_prompt())
        wait_until(lambda: env.prompt_count() == 2, "one prompt running and one waiting")
        env.simulator.faults.worker_dead = True
        wait_until(lambda: env.is_released(hanging) and env.is_released(waiting), "both given back")
        later = env.harness.submit(image_prompt())
        env.assert_nothing_is_received()
        assert env.harness.job(later).status is JobStatus.QUEUED
        env.simulator.faults.worker_dead = False
        env.simulator.restart()
        ended = env.check_ended(hanging, waiting, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 2, 1)]


def test_a_worker_thread_that_died_under_another_executor(env: FaultEnvironment) -> None:
    """Nothing is heard of a prompt that another one submitted: when its time is over, the job may run elsewhere."""
    with env.executor_process(env.simulator.url) as process:
        job_id = env.harness.submit(sleep_prompt(1.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.simulator.faults.worker_dead = True
        process.kill()
    with env.executor_process(env.simulator.url, COMFYUI_TIMEOUT_MS="2000"):
        wait_until(lambda: env.is_released(job_id), "the job given back")
        env.simulator.faults.worker_dead = False
        env.simulator.restart()
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)


def test_a_prompt_that_cannot_be_stopped(env: FaultEnvironment) -> None:
    """A canceled job ends though its node heeds no interrupt; the next one waits until ComfyUI is free of it."""
    with env.healthy_executor():
        canceled = env.harness.submit(sleep_prompt(8.0, interruptible=False))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.harness.request_cancel(canceled)
        env.harness.wait_until_ended(canceled)
        assert env.prompt_count() == 1
        later = env.harness.submit(image_prompt())
        ended = env.check_ended(canceled, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]


def test_a_node_that_hangs(env: FaultEnvironment) -> None:
    """A node that gives no sign for too long is stopped, and the job fails with what to do about it."""
    prompt = silent(60.0, steps=600)
    with env.healthy_executor(COMFYUI_STALL_MS=STALL_MS):
        (job,) = env.check_ended(env.harness.submit(prompt))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_TIMEOUT", False, 1)
    assert "COMFYUI_STALL_MS" in (job.error.recommendation or "")


def silent(seconds: float, steps: int = 20) -> dict[str, Any]:
    """Make a prompt with a node that works without progress."""
    prompt = sleep_prompt(seconds, steps=steps)
    prompt["3"]["inputs"]["progress"] = False
    return prompt
