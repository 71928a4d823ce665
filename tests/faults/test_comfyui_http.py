"""ComfyUI's HTTP side lags, loses prompts, and breaks connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus
from testing.aws_faults import response_truncated
from testing.fault_proxy import ProxiedRequest, Response
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.fault_environment import FaultEnvironment


def test_a_history_that_lags(env: FaultEnvironment) -> None:
    """A prompt that has ended and is not in the history yet is not lost."""
    with (
        SimulatorServer(SimulatorSettings(history_lag_seconds=(1.5, 1.5))) as lagging,
        env.healthy_executor(lagging.url),
    ):
        (job,) = env.check_ended(env.harness.submit(image_prompt()), comfyuis=(lagging,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_prompt_lost_while_it_waits(env: FaultEnvironment) -> None:
    """What somebody else clears from ComfyUI's queue runs again."""
    with env.healthy_executor():
        jobs = [env.harness.submit(sleep_prompt(1.0)) for _ in range(2)]
        wait_until(lambda: env.prompt_count() == 2, "one prompt running and one waiting")
        env.simulator.lose_prompt(env.waiting_prompt_id())
        ended = env.check_ended(*jobs)
    assert sorted((job.status, job.attempt) for job in ended) == [(JobStatus.SUCCEEDED, n) for n in (1, 2)]


def test_a_prompt_lost_when_it_ended(env: FaultEnvironment) -> None:
    """A result that is in no history was not seen by anybody: the prompt runs again."""
    env.simulator.faults.lose_prompts = 1
    with env.healthy_executor():
        (job,) = env.check_ended(env.harness.submit(image_prompt()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_interrupts_that_are_lost(env: FaultEnvironment) -> None:
    """They are repeated until the prompt is off."""
    env.simulator.faults.lose_interrupts = 2
    with env.healthy_executor():
        job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.harness.request_cancel(job_id)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.CANCELED, 1)


def accepted_with_an_error(proxied: ProxiedRequest) -> None:
    """Queue the prompt and answer 500, as ComfyUI does for an id and number that it has already."""
    proxied.forward()
    proxied.respond(Response(500, b"500 Internal Server Error"))


def accepted_without_an_answer(proxied: ProxiedRequest) -> None:
    """Queue the prompt, and break the connection."""
    proxied.forward()
    proxied.reset()


@pytest.mark.parametrize("fault", [accepted_with_an_error, accepted_without_an_answer])
def test_a_prompt_that_was_queued_all_the_same(env: FaultEnvironment, fault: Callable[[ProxiedRequest], None]) -> None:
    """It is found in ComfyUI and runs once."""
    env.comfyui_proxy.inject("POST /prompt", fault)
    with env.healthy_executor(env.comfyui_proxy.url):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(0.5)))
    assert job.status is JobStatus.SUCCEEDED
    assert env.executed_prompt_count() == 1


@pytest.mark.parametrize("fault", [response_truncated, ProxiedRequest.reset])
def test_an_output_cut_off(env: FaultEnvironment, fault: Callable[[ProxiedRequest], None]) -> None:
    """Half a file is no output: it is fetched again, and nothing runs twice for it."""
    env.comfyui_proxy.inject("GET /view", fault)
    with env.healthy_executor(env.comfyui_proxy.url):
        (job,) = env.check_ended(env.harness.submit(image_prompt()))
    assert job.status is JobStatus.SUCCEEDED
    assert env.executed_prompt_count() == 1


def test_outputs_that_are_gone(env: FaultEnvironment) -> None:
    """What ComfyUI reported and no longer has is made again by another run."""
    job_id = env.harness.submit(image_prompt())

    def gone(proxied: ProxiedRequest) -> None:
        of_first_attempt = f"{job_id}-1" in proxied.request.path
        proxied.respond(Response(404, b"") if of_first_attempt else proxied.forward())

    env.comfyui_proxy.inject("GET /view", gone, times=1000)
    with env.healthy_executor(env.comfyui_proxy.url):
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert env.executed_prompt_count() == 1  # beside the one that was forgotten


def test_connections_that_break(env: FaultEnvironment) -> None:
    """Asking again is enough."""
    for step in ("GET /queue", "GET /history", "GET /system_stats"):
        env.comfyui_proxy.inject(step, ProxiedRequest.reset)
    with env.healthy_executor(env.comfyui_proxy.url):
        (job,) = env.check_ended(env.harness.submit(sleep_prompt(2.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert not env.comfyui_proxy.pending_faults()
