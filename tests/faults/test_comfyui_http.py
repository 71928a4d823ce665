"""ComfyUI's HTTP API lags, loses prompts, and resets connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus
from testing.aws_faults import response_lost, response_truncated
from testing.fault_proxy import ProxiedRequest, ServerResponse
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.fault_environment import ComfyUIFaultEnvironment


def test_a_lagging_history_is_not_a_lost_prompt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """A prompt that has finished and has no history entry yet is waited for."""
    settings = SimulatorSettings(history_lag_seconds=(0.5, 0.5))
    with SimulatorServer(settings) as lagging, comfyui_env.run_executor(lagging.url):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_prompt_lost_while_it_waits_runs_again(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """As when someone clears ComfyUI's queue."""
    with comfyui_env.run_executor():
        jobs = [comfyui_env.harness.submit(sleep_prompt(1.0)) for _ in range(2)]
        wait_until(lambda: comfyui_env.prompt_count() == 2, "one running and one waiting prompt")
        comfyui_env.simulator.lose_prompt(comfyui_env.waiting_prompt_id())
        ended = comfyui_env.check_ended(*jobs)
    assert sorted((job.status, job.attempt) for job in ended) == [(JobStatus.SUCCEEDED, n) for n in (1, 2)]


def test_a_prompt_lost_at_its_end_runs_again(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """A result that is not in the history cannot be read."""
    comfyui_env.simulator.faults.lose_prompts = 1
    with comfyui_env.run_executor():
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_lost_interrupts_are_repeated(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """Until the prompt is gone."""
    comfyui_env.simulator.faults.lose_interrupts = 2
    with comfyui_env.run_executor():
        job_id = comfyui_env.harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        comfyui_env.harness.request_cancel(job_id)
        (job,) = comfyui_env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.CANCELED, 1)


def queued_with_an_error(proxied: ProxiedRequest) -> None:
    """Queue the prompt and respond with 500, as ComfyUI does for an id and number that it has already."""
    proxied.forward()
    proxied.respond(ServerResponse(500, b"500 Internal Server Error"))


@pytest.mark.parametrize("fault", [queued_with_an_error, response_lost])
def test_a_prompt_that_was_queued_despite_an_error_runs_once(
    comfyui_env: ComfyUIFaultEnvironment, fault: Callable[[ProxiedRequest], None]
) -> None:
    """It is found on ComfyUI."""
    comfyui_env.comfyui_proxy.inject("POST /prompt", fault)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(sleep_prompt(0.5)))
    assert job.status is JobStatus.SUCCEEDED
    assert comfyui_env.executed_prompt_count() == 1


@pytest.mark.parametrize("fault", [response_truncated, ProxiedRequest.reset])
def test_a_truncated_output_is_fetched_again(
    comfyui_env: ComfyUIFaultEnvironment, fault: Callable[[ProxiedRequest], None]
) -> None:
    """Half a file is never stored as an output, and the prompt does not run again."""
    comfyui_env.comfyui_proxy.inject("GET /view", fault)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(image_prompt()))
    assert job.status is JobStatus.SUCCEEDED
    assert comfyui_env.executed_prompt_count() == 1


def test_missing_outputs_are_made_again(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """When ComfyUI no longer has a reported file, the prompt runs again."""
    job_id = comfyui_env.harness.submit(image_prompt())

    def missing(proxied: ProxiedRequest) -> None:
        of_first_attempt = f"{job_id}-1" in proxied.request.path
        proxied.respond(ServerResponse(404, b"") if of_first_attempt else proxied.forward())

    comfyui_env.comfyui_proxy.inject("GET /view", missing, times=1000)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        (job,) = comfyui_env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert comfyui_env.executed_prompt_count() == 1  # the history entry of the first attempt was deleted


def test_reset_connections_cost_no_attempt(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """The next poll succeeds."""
    for step in ("GET /queue", "GET /history", "GET /system_stats"):
        comfyui_env.comfyui_proxy.inject(step, ProxiedRequest.reset)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        (job,) = comfyui_env.check_ended(comfyui_env.harness.submit(sleep_prompt(2.0)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert not comfyui_env.comfyui_proxy.pending_faults()
