"""Running out of memory, and how freeing ComfyUI's memory affects other prompts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gateway.domain.job import Job, JobStatus, LogLevel
from testing.fault_proxy import FaultProxy, comfyui_step
from testing.invariant_observer import InvariantObserver
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from testing.executor_harness import AwsExecutorHarness


def with_node(class_type: str, **inputs: object) -> dict[str, Any]:
    """Make a prompt with this node between the image and its file."""
    prompt = image_prompt()
    prompt["2"]["inputs"]["images"] = ["3", 0]
    return {**prompt, "3": {"class_type": class_type, "inputs": {"image": ["1", 0], **inputs}}}


def hoarding() -> dict[str, Any]:
    """Make a prompt that fits after memory was freed."""
    return with_node("LabHoard", salt=uuid.uuid4().int % 2**31)


def warnings(job: Job) -> list[str]:
    """Return the warnings in a job's log."""
    return [line.message for line in job.log if line.level is LogLevel.WARNING]


def test_memory_is_freed_and_the_job_runs_again(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """In the same attempt; the job log says so."""
    with harness.run_executor(comfyui_url):
        job = harness.wait_until_ended(harness.submit(hoarding()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1), job.error
    (warning,) = warnings(job)
    assert "Out of memory at node 3 (LabHoard)" in warning


@pytest.mark.parametrize("kind", ["torchOOM", "MemoryError"])
def test_memory_is_freed_once_only(harness: AwsExecutorHarness, comfyui_url: str, kind: str) -> None:
    """Then the job fails, and its error says what to reduce; nothing remains in the queues."""
    with FaultProxy(comfyui_url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        job = harness.wait_until_ended(harness.submit(with_node("LabRaise", kind=kind, message="no")))
        wait_until(lambda: harness.message_count() == 0, "an empty queue")
        assert proxy.request_counts["POST /free"] == 1
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_OOM", False, 1)
    assert "node 3 (LabRaise)" in job.error.message
    assert "width (64) or height (64)" in (job.error.recommendation or "")


def test_a_prompt_that_cannot_fit_is_not_retried(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """It needs more than the GPU has: nothing is freed, so that models of others stay loaded."""
    message = "Tried to allocate 96.00 GiB. GPU 0 has a total capacity of 23.65 GiB"
    with FaultProxy(comfyui_url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        job = harness.wait_until_ended(harness.submit(with_node("LabRaise", kind="torchOOM", message=message)))
        assert not proxy.request_counts["POST /free"]
    assert job.error is not None
    assert "node 3 (LabRaise)" in job.error.message


def test_freeing_affects_no_running_prompt(harness: AwsExecutorHarness, comfyui_url: str) -> None:
    """Neither the gateway's next prompt, which started meanwhile, nor that of another client behind it."""
    observer = InvariantObserver(harness)
    with harness.run_executor(comfyui_url):
        jobs = [harness.submit(prompt) for prompt in (hoarding(), sleep_prompt(3.0), hoarding(), sleep_prompt(1.0))]
        foreign = str(uuid.uuid4())
        body = {"prompt": sleep_prompt(0.5), "prompt_id": foreign, "client_id": "somebody"}
        requests.post(f"{comfyui_url}/prompt", json=body, timeout=10).raise_for_status()
        ended = [harness.wait_until_ended(job_id) for job_id in jobs]
        observer.check(*jobs, lease_seconds=30, comfyui_urls=[comfyui_url])
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert [len(warnings(job)) for job in ended] == [1, 0, 1, 0]
    entry = requests.get(f"{comfyui_url}/history/{foreign}", timeout=10).json()[foreign]
    assert entry["status"]["status_str"] == "success"


def test_a_cancel_while_memory_is_freed(
    harness: AwsExecutorHarness, comfyui_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt is not submitted again."""
    monkeypatch.setattr("executor.comfyui.execution._FREE_MEMORY_SECONDS", 30.0)
    with FaultProxy(comfyui_url, comfyui_step) as proxy, harness.run_executor(proxy.url):
        job_id = harness.submit(hoarding())
        wait_until(lambda: proxy.request_counts["POST /free"], "the memory being freed")
        harness.request_cancel(job_id)
        assert harness.wait_until_ended(job_id, seconds=3).status is JobStatus.CANCELED
        assert proxy.request_counts["POST /prompt"] == 1
