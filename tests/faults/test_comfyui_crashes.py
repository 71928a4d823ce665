"""ComfyUI dies, stays away, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from executor.comfyui import monitor
from gateway.domain.job import JobStatus
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from tests.faults.fault_environment import ComfyUIFaultEnvironment, FaultEnvironment

STALL_MS = "1500"


@pytest.fixture(autouse=True)
def _short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a ComfyUI, and on canceling a prompt, after a second."""
    monkeypatch.setattr(monitor, "_UNREACHABLE_SECONDS", 1.0)
    monkeypatch.setattr(monitor, "_CANCEL_TIMEOUT_SECONDS", 1.0)


def test_a_restart_runs_prompts_again(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """The running and the waiting prompt are lost with ComfyUI."""
    with comfyui_env.run_executor():
        jobs = [comfyui_env.harness.submit(sleep_prompt(1.0)) for _ in range(2)]
        wait_until(lambda: comfyui_env.prompt_count() == 2, "one running and one waiting prompt")
        comfyui_env.simulator.restart()
        ended = comfyui_env.check_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_a_long_absence_costs_one_attempt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """The attempt that ran ends; nothing is received meanwhile, so no other attempt is used up."""
    with comfyui_env.run_executor():
        interrupted = comfyui_env.harness.submit(sleep_prompt(1.0))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        comfyui_env.simulator.kill()
        waiting = [comfyui_env.harness.submit(image_prompt()) for _ in range(3)]
        wait_until(lambda: comfyui_env.is_released(interrupted), "the end of the attempt")
        comfyui_env.assert_nothing_is_received()
        comfyui_env.simulator.start()
        ended = comfyui_env.check_ended(interrupted, *waiting)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 1, 1, 1)]


def test_a_dead_worker_thread_is_detected(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """ComfyUI responds but runs nothing: its jobs are released, and none is received until it was restarted."""
    with comfyui_env.run_executor(COMFYUI_STALL_MS=STALL_MS):
        hanging = comfyui_env.harness.submit(sleep_prompt(2.0))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        waiting = comfyui_env.harness.submit(image_prompt())
        wait_until(lambda: comfyui_env.prompt_count() == 2, "one running and one waiting prompt")
        comfyui_env.simulator.faults.worker_dead = True
        wait_until(lambda: all(map(comfyui_env.is_released, (hanging, waiting))), "both released")
        later = comfyui_env.harness.submit(image_prompt())
        comfyui_env.assert_nothing_is_received()
        assert comfyui_env.harness.job(later).status is JobStatus.QUEUED
        comfyui_env.simulator.faults.worker_dead = False
        comfyui_env.simulator.restart()
        ended = comfyui_env.check_ended(hanging, waiting, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 2, 1)]


def test_a_dead_worker_thread_is_detected_by_another_executor(env: FaultEnvironment) -> None:
    """It has no events of a prompt that a dead executor submitted: after the time limit the job may run elsewhere."""
    with env.executor_process(env.simulator.url) as process:
        job_id = env.harness.submit(sleep_prompt(1.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.simulator.faults.worker_dead = True
        process.kill()
    with env.healthy_executor(COMFYUI_TIMEOUT_MS="1000"):
        wait_until(lambda: env.is_released(job_id), "the released job")
        env.simulator.faults.worker_dead = False
        env.simulator.restart()
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)


def test_a_prompt_that_cannot_be_canceled_blocks_its_comfyui(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """A canceled job ends although its node ignores interrupts; the next job waits until the prompt is gone."""
    with comfyui_env.run_executor():
        canceled = comfyui_env.harness.submit(sleep_prompt(4.0, interruptible=False))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        comfyui_env.harness.request_cancel(canceled)
        comfyui_env.harness.wait_until_ended(canceled)
        assert comfyui_env.prompt_count() == 1
        later = comfyui_env.harness.submit(image_prompt())
        ended = comfyui_env.check_ended(canceled, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]


def test_a_silent_node_fails_the_job(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """A node without progress for too long is canceled; the recommendation names the setting."""
    with comfyui_env.run_executor(COMFYUI_STALL_MS=STALL_MS):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(silent_prompt(60.0, steps=600)))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_TIMEOUT", False, 1)
    assert "COMFYUI_STALL_MS" in (job.error.recommendation or "")


def silent_prompt(seconds: float, steps: int) -> dict[str, Any]:
    """Make a prompt with a node that reports no progress."""
    prompt = sleep_prompt(seconds, steps=steps)
    prompt["3"]["inputs"]["progress"] = False
    return prompt
