"""Canceling one prompt on ComfyUI and no other, by the calls of all servers and by the single call of newer ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import requests

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus, prompt_id
from testing.fault_proxy import FaultProxy, ProxiedRequest, comfyui_step
from testing.invariant_observer import InvariantObserver
from testing.prompts import sleep_prompt
from testing.waiting import wait_until
from tests.comfyui.prompts import running

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from testing.executor_harness import AwsExecutorHarness


CANCEL_SECONDS = 3.0  # 2 until the GPU is free, and then the terminal write


@pytest.fixture
def newer_url() -> Iterator[str]:
    """Run a simulated ComfyUI of a later version."""
    with SimulatorServer(SimulatorSettings(newer_api=True)) as server:
        yield server.url


def cancel_running(harness: AwsExecutorHarness, url: str) -> FaultProxy:
    """Cancel a running job ahead of another one, which succeeds."""
    observer = InvariantObserver(harness)
    with FaultProxy(url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        canceled = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(canceled, 1)], "the prompt to run")
        other = harness.submit(sleep_prompt(0.5))
        wait_until(lambda: harness.job(other).status is JobStatus.RUNNING, "the other one to wait")
        harness.request_cancel(canceled)
        wait_until(lambda: running(url) != [prompt_id(canceled, 1)], "the GPU to be free", CANCEL_SECONDS)
        ended = [harness.wait_until_ended(job_id) for job_id in (canceled, other)]
        observer.check(canceled, other, lease_seconds=30, comfyui_urls=[url])
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]
    return proxy


def cancel_waiting(harness: AwsExecutorHarness, url: str) -> Counter[str]:
    """Cancel a job that waits behind another one, which continues; return the calls that were made."""
    with FaultProxy(url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        other = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(other, 1)], "the other one to run")
        canceled = harness.submit(sleep_prompt(60.0))
        wait_until(lambda: proxy.request_counts["POST /prompt"] == 2, "the prompt to wait")
        harness.request_cancel(canceled)
        assert harness.wait_until_ended(canceled, seconds=CANCEL_SECONDS).status is JobStatus.CANCELED
        assert running(url) == [prompt_id(other, 1)]
        passed = proxy.request_counts.copy()
        harness.request_cancel(other)
        assert harness.wait_until_ended(other).status is JobStatus.CANCELED
    return passed


def cancel_too_late(harness: AwsExecutorHarness, url: str, step: str) -> None:
    """Let the prompt finish, and the next one start, while the call that would cancel it is delayed."""
    with FaultProxy(url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        late = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(late, 1)], "the prompt to run")
        other = harness.submit(sleep_prompt(3.0))
        wait_until(lambda: proxy.request_counts["POST /prompt"] == 2, "the next one to wait")
        over = threading.Event()

        def too_late(proxied: ProxiedRequest) -> None:
            requests.post(f"{url}/interrupt", json={"prompt_id": prompt_id(late, 1)}, timeout=10).raise_for_status()
            wait_until(lambda: running(url) == [prompt_id(other, 1)], "the next one to run")
            proxied.respond(proxied.forward())
            over.set()

        proxy.inject(step, too_late)
        harness.request_cancel(late)
        assert over.wait(20), f"no {step}"
        ended = [harness.wait_until_ended(job_id) for job_id in (late, other)]
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]


def test_a_running_prompt_is_canceled(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """By its id, after the server responded that it does not have the single call."""
    assert cancel_running(harness, comfyui_url).request_counts["POST /interrupt"] >= 1


def test_a_running_prompt_is_canceled_by_one_call(harness: AwsExecutorHarness, newer_url: str) -> None:
    """No other call is made."""
    passed = cancel_running(harness, newer_url).request_counts
    assert passed["POST /api"] >= 1
    assert not passed["POST /interrupt"] + passed["POST /queue"]


def test_a_waiting_prompt_is_canceled(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """Nothing is interrupted: the oldest servers ignore the id, and would stop the running prompt."""
    assert not cancel_waiting(harness, comfyui_url)["POST /interrupt"]


def test_a_waiting_prompt_is_canceled_by_one_call(harness: AwsExecutorHarness, newer_url: str) -> None:
    """No other call is made."""
    passed = cancel_waiting(harness, newer_url)
    assert passed["POST /api"] >= 1
    assert not passed["POST /interrupt"] + passed["POST /queue"]


def test_a_late_interrupt_stops_no_other_prompt(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """It arrives while the next prompt runs."""
    cancel_too_late(harness, comfyui_url, "POST /interrupt")


def test_a_late_single_call_stops_no_other_prompt(harness: AwsExecutorHarness, newer_url: str) -> None:
    """It arrives while the next prompt runs."""
    cancel_too_late(harness, newer_url, "POST /api")
