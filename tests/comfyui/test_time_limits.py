"""Time limits of prompts: for running, and for waiting in ComfyUI's queue."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus, LogLevel
from testing.fault_proxy import FaultProxy, ProxiedRequest, comfyui_step
from testing.invariant_observer import InvariantObserver
from testing.prompts import sleep_prompt
from testing.waiting import wait_until
from tests.comfyui.prompts import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testing.executor_harness import AwsExecutorHarness


@contextmanager
def busy_with_others(url: str, seconds: float) -> Iterator[str]:
    """Run a prompt of another client on ComfyUI; return its id. It is canceled at the end."""
    foreign = str(uuid.uuid4())
    body = {"prompt": sleep_prompt(seconds, steps=100), "prompt_id": foreign, "client_id": "somebody"}
    requests.post(f"{url}/prompt", json=body, timeout=10).raise_for_status()
    wait_until(lambda: running(url) == [foreign], "somebody else's prompt")
    yield foreign
    requests.post(f"{url}/interrupt", json={"prompt_id": foreign}, timeout=10).raise_for_status()
    wait_until(lambda: not running(url), "an idle ComfyUI")


def test_waiting_does_not_count_as_running(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """Four prompts of 2 s with a limit of 5 s: the last one waits for longer than that."""
    with harness.run_executor(comfyui_url, COMFYUI_TIMEOUT_MS="5000", LOOK_AHEAD="3"):
        jobs = [harness.wait_until_ended(job_id) for job_id in [harness.submit(sleep_prompt(2.0)) for _ in range(4)]]
    assert {(job.status, job.attempt) for job in jobs} == {(JobStatus.SUCCEEDED, 1)}


def test_a_prompt_that_runs_too_long_is_canceled(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """The job fails with the inputs to reduce and the setting to raise; the next job runs."""
    with harness.run_executor(comfyui_url, COMFYUI_TIMEOUT_MS="1500"):
        endless, behind = harness.submit(sleep_prompt(60.0, steps=600)), harness.submit(sleep_prompt(0.5))
        job = harness.wait_until_ended(endless, seconds=10)
        assert harness.wait_until_ended(behind).status is JobStatus.SUCCEEDED
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_TIMEOUT", False, 1)
    assert "1.5 s" in job.error.message
    for text in ("steps (600), width (64) or height (64)", "COMFYUI_TIMEOUT_MS"):
        assert text in (job.error.recommendation or "")


def test_a_prompt_that_waits_too_long_moves_to_another_executor(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """It is canceled on the ComfyUI that others keep busy, and runs on another one."""
    observer = InvariantObserver(harness)
    with busy_with_others(comfyui_url, 60.0) as foreign:
        with harness.run_executor(
            comfyui_url, LOOK_AHEAD="0", COMFYUI_QUEUE_TIMEOUT_MS="1500", EXECUTOR_ID="busy"
        ) as stop_busy:
            job_id = harness.submit(sleep_prompt(0.5))
            wait_until(lambda: harness.job(job_id).status is JobStatus.RUNNING, "a first attempt")
            wait_until(lambda: any(line.level is LogLevel.WARNING for line in harness.job(job_id).log), "the release")
            stop_busy()
        with SimulatorServer(SimulatorSettings()) as other, harness.run_executor(other.url, EXECUTOR_ID="idle"):
            job = harness.wait_until_ended(job_id)
            assert running(comfyui_url) == [foreign]
            assert requests.get(f"{comfyui_url}/queue", timeout=10).json()["queue_pending"] == []
    observer.check(job_id, lease_seconds=30, comfyui_urls=[comfyui_url])
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    (warning,) = [line.message for line in job.log if line.level is LogLevel.WARNING]
    assert "COMFYUI_TIMEOUT" in warning
    assert "queue for 1.5 s" in warning


def test_a_job_that_waits_too_long_everywhere_fails(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """After MAX_ATTEMPTS, with a recommendation; the prompt of the other client continues."""
    with busy_with_others(comfyui_url, 60.0) as foreign:
        with harness.run_executor(comfyui_url, LOOK_AHEAD="0", COMFYUI_QUEUE_TIMEOUT_MS="1000", MAX_ATTEMPTS="2"):
            job = harness.wait_until_ended(harness.submit(sleep_prompt(0.5)))
        assert running(comfyui_url) == [foreign]
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_TIMEOUT", True, 2)
    assert "COMFYUI_QUEUE_TIMEOUT_MS" in (job.error.recommendation or "")


def test_a_prompt_that_starts_while_it_is_canceled_continues(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """It is found running, and finishes in the same attempt."""
    with FaultProxy(comfyui_url, comfyui_step) as proxy, busy_with_others(comfyui_url, 60.0) as foreign:

        def too_late(proxied: ProxiedRequest) -> None:
            requests.post(f"{comfyui_url}/interrupt", json={"prompt_id": foreign}, timeout=10)
            wait_until(lambda: running(comfyui_url) not in ([], [foreign]), "the job's prompt")
            proxied.respond(proxied.forward())

        proxy.inject("POST /queue", too_late)
        with harness.run_executor(proxy.url, LOOK_AHEAD="0", COMFYUI_QUEUE_TIMEOUT_MS="1000"):
            job = harness.wait_until_ended(harness.submit(sleep_prompt(2.0)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
