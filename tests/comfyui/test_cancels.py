"""Taking one prompt off a ComfyUI, and no other: by the calls of all servers, and by the one call of newer ones."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import requests

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus, prompt_id
from tests.comfyui.prompts import running
from tests.executor.stage import Stage, sleeping, wait_until
from tests.faults.gate import Gate, Passage, comfyui_step
from tests.faults.witness import Witness

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator


CANCEL_SECONDS = 3.0  # 2 until the GPU is free, and then the end has to be written


@pytest.fixture
def newer_url() -> Iterator[str]:
    """Give a simulated ComfyUI of a later version."""
    with SimulatorServer(SimulatorSettings(newer_api=True)) as server:
        yield server.url


def cancel_what_runs(stage: Stage, url: str) -> Gate:
    """Cancel a running job in front of another one, which comes to its end."""
    witness = Witness(stage)
    with Gate(url, comfyui_step) as gate, stage.executor(gate.url):
        canceled = stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(canceled, 1)], "the prompt to run")
        other = stage.accept(sleeping(0.5))
        wait_until(lambda: stage.job(other).status is JobStatus.RUNNING, "the other one to wait")
        stage.request_cancel(canceled)
        wait_until(lambda: running(url) != [prompt_id(canceled, 1)], "the GPU to be free", CANCEL_SECONDS)
        ended = [stage.ended(job_id) for job_id in (canceled, other)]
        witness.check(canceled, other, lease_seconds=30, comfyui_urls=[url])
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]
    return gate


def cancel_what_waits(stage: Stage, url: str) -> Counter[str]:
    """Cancel a job that waits behind another one, which runs on; count the calls that took."""
    with Gate(url, comfyui_step) as gate, stage.executor(gate.url):
        other = stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(other, 1)], "the other one to run")
        canceled = stage.accept(sleeping(60.0))
        wait_until(lambda: gate.passed["POST /prompt"] == 2, "the prompt to wait")
        stage.request_cancel(canceled)
        assert stage.ended(canceled, seconds=CANCEL_SECONDS).status is JobStatus.CANCELED
        assert running(url) == [prompt_id(other, 1)]
        passed = gate.passed.copy()
        stage.request_cancel(other)
        assert stage.ended(other).status is JobStatus.CANCELED
    return passed


def cancel_too_late(stage: Stage, url: str, step: str) -> None:
    """Let the prompt end, and the next begin, while the call that would stop it is on its way."""
    with Gate(url, comfyui_step) as gate, stage.executor(gate.url):
        late = stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: running(url) == [prompt_id(late, 1)], "the prompt to run")
        other = stage.accept(sleeping(3.0))
        wait_until(lambda: gate.passed["POST /prompt"] == 2, "the next one to wait")
        over = threading.Event()

        def too_late(passage: Passage) -> None:
            requests.post(f"{url}/interrupt", json={"prompt_id": prompt_id(late, 1)}, timeout=10).raise_for_status()
            wait_until(lambda: running(url) == [prompt_id(other, 1)], "the next one to run")
            passage.answer(passage.forward())
            over.set()

        gate.fail(step, too_late)
        stage.request_cancel(late)
        assert over.wait(20), f"no {step}"
        ended = [stage.ended(job_id) for job_id in (late, other)]
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]


def test_a_running_prompt_is_canceled(stage: Stage, comfyui_url: str) -> None:
    """It is interrupted by its id, after the server was found not to have the one call."""
    assert cancel_what_runs(stage, comfyui_url).passed["POST /interrupt"] >= 1


def test_a_running_prompt_is_canceled_by_one_call(stage: Stage, newer_url: str) -> None:
    """No other is needed."""
    passed = cancel_what_runs(stage, newer_url).passed
    assert passed["POST /api"] >= 1
    assert not passed["POST /interrupt"] + passed["POST /queue"]


def test_a_waiting_prompt_is_canceled(stage: Stage, comfyui_url: str) -> None:
    """Nothing is interrupted: the oldest servers look at no id, and would stop the one that runs."""
    assert not cancel_what_waits(stage, comfyui_url)["POST /interrupt"]


def test_a_waiting_prompt_is_canceled_by_one_call(stage: Stage, newer_url: str) -> None:
    """Likewise."""
    passed = cancel_what_waits(stage, newer_url)
    assert passed["POST /api"] >= 1
    assert not passed["POST /interrupt"] + passed["POST /queue"]


def test_a_cancel_that_is_late_stops_no_other(stage: Stage, comfyui_url: str) -> None:
    """The interrupt comes when the next prompt runs."""
    cancel_too_late(stage, comfyui_url, "POST /interrupt")


def test_one_call_that_is_late_stops_no_other(stage: Stage, newer_url: str) -> None:
    """So does the cancel."""
    cancel_too_late(stage, newer_url, "POST /api")
