"""Memory that did not suffice, and what ComfyUI's way to free it does to others' prompts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from gateway.domain.job import Job, JobStatus, LogLevel
from tests.executor.stage import Stage, picture, sleeping, wait_until
from tests.faults.gate import Gate, comfyui_step
from tests.faults.witness import Witness


def behind(class_type: str, **inputs: object) -> dict[str, Any]:
    """Put a node between a picture and its file."""
    prompt = picture()
    prompt["2"]["inputs"]["images"] = ["3", 0]
    return {**prompt, "3": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}}}


def hoarding() -> dict[str, Any]:
    """Make a prompt for which memory suffices once it was freed."""
    return behind("LabHoard", salt=uuid.uuid4().int % 2**31)


def warnings(job: Job) -> list[str]:
    """Read what went wrong on a job's way."""
    return [line.message for line in job.log if line.level is LogLevel.WARNING]


def test_memory_is_freed_and_the_job_runs_again(stage: Stage, comfyui_url: str) -> None:
    """In the same attempt; the log says it."""
    with stage.executor(comfyui_url):
        job = stage.ended(stage.accept(hoarding()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1), job.error
    assert warnings(job) == ["Out of memory at node 3 (LabHoard). ComfyUI frees what it holds, then runs it once more."]


@pytest.mark.parametrize("kind", ["torchOOM", "MemoryError"])
def test_it_is_freed_once_only(stage: Stage, comfyui_url: str, kind: str) -> None:
    """Then the job fails, and its error says what to lower; nothing is left of it in the queues."""
    with Gate(comfyui_url, comfyui_step) as gate, stage.executor(gate.url):
        job = stage.ended(stage.accept(behind("LabRaise", kind=kind, message="no")))
        wait_until(lambda: stage.messages_left() == 0, "an empty queue")
        assert gate.passed["POST /free"] == 1
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_OOM", False, 1)
    assert job.error.message == "Out of memory at node 3 (LabRaise), also after ComfyUI had freed its memory."
    assert "Lower width (64) or height (64)" in (job.error.recommendation or "")


def test_what_cannot_fit_is_not_tried_again(stage: Stage, comfyui_url: str) -> None:
    """More was wanted at a time than the GPU has: nothing is freed, so that others' models stay loaded."""
    message = "Tried to allocate 96.00 GiB. GPU 0 has a total capacity of 23.65 GiB"
    with Gate(comfyui_url, comfyui_step) as gate, stage.executor(gate.url):
        job = stage.ended(stage.accept(behind("LabRaise", kind="torchOOM", message=message)))
        assert not gate.passed["POST /free"]
    assert job.error is not None
    assert job.error.message == "Out of memory at node 3 (LabRaise)."


def test_freeing_harms_no_prompt_that_runs(stage: Stage, comfyui_url: str) -> None:
    """Neither the gateway's next one, which began meanwhile, nor somebody else's behind it."""
    witness = Witness(stage)
    with stage.executor(comfyui_url):
        jobs = [stage.accept(prompt) for prompt in (hoarding(), sleeping(3.0), hoarding(), sleeping(1.0))]
        foreign = str(uuid.uuid4())
        body = {"prompt": sleeping(0.5), "prompt_id": foreign, "client_id": "somebody"}
        requests.post(f"{comfyui_url}/prompt", json=body, timeout=10).raise_for_status()
        ended = [stage.ended(job_id) for job_id in jobs]
        witness.check(*jobs, lease_seconds=30, comfyui_urls=[comfyui_url])
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert [len(warnings(job)) for job in ended] == [1, 0, 1, 0]
    entry = requests.get(f"{comfyui_url}/history/{foreign}", timeout=10).json()[foreign]
    assert entry["status"]["status_str"] == "success"


def test_a_cancel_while_memory_is_freed(stage: Stage, comfyui_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt does not go to ComfyUI again."""
    monkeypatch.setattr("executor.comfyui.execution._FREE_MEMORY_SECONDS", 30.0)
    with Gate(comfyui_url, comfyui_step) as gate, stage.executor(gate.url):
        job_id = stage.accept(hoarding())
        wait_until(lambda: gate.passed["POST /free"], "the memory being freed")
        stage.request_cancel(job_id)
        assert stage.ended(job_id, seconds=3).status is JobStatus.CANCELED
        assert gate.passed["POST /prompt"] == 1
