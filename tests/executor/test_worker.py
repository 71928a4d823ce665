"""What an executor does with jobs, on in-memory ports and a simulated ComfyUI."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import requests
from PIL import Image

from gateway.domain.job import JobStatus, ended_event_id, prompt_id
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness


def comfyui_queue(simulator: SimulatorServer) -> Counter[str]:
    """Count ComfyUI's prompts by state."""
    state = requests.get(f"{simulator.url}/queue", timeout=5).json()
    return Counter({name: len(prompts) for name, prompts in state.items()})


def wait_until_running(simulator: SimulatorServer) -> None:
    """Wait until ComfyUI runs a prompt."""
    wait_until(lambda: comfyui_queue(simulator)["queue_running"] == 1, "a running prompt")


def history_ids(simulator: SimulatorServer) -> list[str]:
    """Return the ids of the prompts in ComfyUI's history."""
    return list(requests.get(f"{simulator.url}/history", timeout=5).json())


def test_a_job_succeeds(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Its output is stored unchanged, the job lists it, and the message is deleted."""
    job = harness.run(simulator.url, image_prompt(color=0x336699))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert job.execution_ms is not None
    (output,) = job.outputs or ()
    content = harness.objects.get(output.key)
    assert (output.size, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert Image.open(io.BytesIO(content)).convert("RGB").getpixel((5, 5)) == (0x33, 0x66, 0x99)


def test_an_ended_job_is_published(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """There is one event, with the event id of the job."""
    job = harness.run(simulator.url, image_prompt())
    (event,) = harness.ports.events.published
    assert (event.event_id, event.job_id, event.status) == (ended_event_id(job.id), job.id, JobStatus.SUCCEEDED)


def test_two_messages_run_a_job_once(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A duplicate message of a job that has ended is deleted."""
    with harness.run_executor(simulator.url):
        job_id = harness.submit(image_prompt())
        harness.wait_until_ended(job_id)
        harness.send_message(job_id, image_prompt())
        wait_until(lambda: harness.message_count() == 0, "an empty queue")
    assert harness.job(job_id).attempt == 1
    assert len(history_ids(simulator)) == 1


def test_equal_prompts_share_no_files(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Two jobs with the same prompt have separate outputs, named by the prefix in the template."""
    jobs = [harness.run(simulator.url, image_prompt(color=7)) for _ in range(2)]
    assert [output.filename for job in jobs for output in job.outputs or ()] == ["image_00001_.png"] * 2
    assert jobs[0].outputs != jobs[1].outputs


def test_a_second_prompt_waits_in_comfyui_while_one_runs(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """Under backlog ComfyUI always has the next prompt; a third job stays in the gateway's queue."""
    with harness.run_executor(simulator.url):
        jobs = [harness.submit(sleep_prompt(0.5)) for _ in range(3)]
        wait_until(lambda: comfyui_queue(simulator) == {"queue_running": 1, "queue_pending": 1}, "one waiting prompt")
        assert sum(harness.job(job_id).status is JobStatus.QUEUED for job_id in jobs) == 1
        assert {harness.wait_until_ended(job_id).status for job_id in jobs} == {JobStatus.SUCCEEDED}


def test_progress_is_stored_while_a_job_runs(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Lease renewals carry the progress."""
    with harness.run_executor(simulator.url):
        job_id = harness.submit(sleep_prompt(1.0))
        wait_until(lambda: 0 < (harness.job(job_id).progress or 0) < 100, "progress")
        assert harness.wait_until_ended(job_id).progress == 100


def test_a_running_job_is_canceled(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A cancel request in the table interrupts the prompt; the next one in the queue is not affected."""
    with harness.run_executor(simulator.url):
        canceled = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until_running(simulator)
        other = harness.submit(sleep_prompt(0.1))
        harness.request_cancel(canceled)
        assert harness.wait_until_ended(canceled).status is JobStatus.CANCELED
        assert harness.wait_until_ended(other).status is JobStatus.SUCCEEDED


def test_a_job_that_waits_in_comfyui_is_canceled(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """Its prompt is removed from ComfyUI's queue; the running one is not affected."""
    with harness.run_executor(simulator.url):
        running = harness.submit(sleep_prompt(60.0, steps=600))
        wait_until_running(simulator)
        waiting = harness.submit(sleep_prompt(60.0))
        wait_until(lambda: comfyui_queue(simulator)["queue_pending"] == 1, "a waiting prompt")
        harness.request_cancel(waiting)
        assert harness.wait_until_ended(waiting).status is JobStatus.CANCELED
        assert comfyui_queue(simulator) == {"queue_running": 1, "queue_pending": 0}
        harness.request_cancel(running)
        assert harness.wait_until_ended(running).status is JobStatus.CANCELED


def test_a_failing_node_fails_the_job_at_once(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The error names the node; there is no retry."""
    prompt = image_prompt()
    prompt["3"] = {"class_type": "LabRaise", "inputs": {"image": ["1", 0], "kind": "ValueError", "message": "boom"}}
    prompt["2"]["inputs"]["images"] = ["3", 0]
    job = harness.run(simulator.url, prompt)
    assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
    assert job.error is not None
    assert job.error.code == "COMFYUI_NODE_ERROR"
    assert all(text in job.error.message for text in ("ode 3 (LabRaise)", "ValueError", "boom"))


def test_a_rejected_prompt_fails_the_job(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The error names the node and the input."""
    prompt = image_prompt()
    prompt["1"]["inputs"]["width"] = -5
    job = harness.run(simulator.url, prompt)
    assert job.error is not None
    assert job.error.code == "COMFYUI_REJECTED"
    assert "node 1 (EmptyImage)" in job.error.message
    assert "width" in job.error.message


def test_a_workflow_that_saves_nothing_fails(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A preview is not an output."""
    prompt = image_prompt()
    prompt["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    job = harness.run(simulator.url, prompt)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("OUTPUT_ERROR", False)
    assert "SaveImage" in (job.error.recommendation or "")


def test_a_lost_prompt_runs_again(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A prompt that is neither in the queue nor in the history is lost: the next attempt runs it again."""
    simulator.faults.lose_prompts = 1
    job = harness.run(simulator.url, image_prompt())
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_a_job_survives_a_restart_of_comfyui(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """ComfyUI dies with the prompt and comes back empty: the job runs again there."""
    with harness.run_executor(simulator.url):
        job_id = harness.submit(sleep_prompt(1.0))
        wait_until_running(simulator)
        simulator.restart()
        job = harness.wait_until_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


@pytest.mark.parametrize("fault", ["silent_sockets", "garbage_frames"])
def test_a_job_ends_without_websocket_events(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, fault: str
) -> None:
    """The WebSocket is for progress: polling the history is enough."""
    setattr(simulator.faults, fault, True)
    assert harness.run(simulator.url, sleep_prompt(0.3)).status is JobStatus.SUCCEEDED


def test_nothing_is_received_while_comfyui_is_down(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """Jobs stay queued and use up no attempt; they run when ComfyUI is back."""
    simulator.kill()
    job_id = harness.submit(image_prompt())
    with harness.run_executor(simulator.url):
        wait_until(harness.heartbeat_count, "a heartbeat")
        assert harness.job(job_id).status is JobStatus.QUEUED
        simulator.start()
        assert harness.wait_until_ended(job_id).attempt == 1


def test_a_stopped_executor_releases_its_job(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A job that does not finish within the grace period is interrupted; another executor runs it at once."""
    with harness.run_executor(simulator.url, grace_seconds=0) as stop:
        job_id = harness.submit(sleep_prompt(1.0))
        wait_until_running(simulator)
        stop()
    assert comfyui_queue(simulator) == {"queue_running": 0, "queue_pending": 0}
    assert harness.job(job_id).status is JobStatus.RUNNING
    with harness.run_executor(simulator.url):
        job = harness.wait_until_ended(job_id, seconds=20)  # a lease is 30 s
    assert (job.status, job.attempt, job.counted_attempts) == (JobStatus.SUCCEEDED, 2, 1)


def test_a_stopped_executor_lets_a_short_job_finish(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """A job that ends within the grace period succeeds."""
    with harness.run_executor(simulator.url, grace_seconds=30) as stop:
        job_id = harness.submit(sleep_prompt(0.5))
        wait_until_running(simulator)
        stop()
    assert (harness.job(job_id).status, harness.job(job_id).attempt) == (JobStatus.SUCCEEDED, 1)


def test_comfyui_knows_a_job_by_a_derived_id(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The prompt id is derived from job and attempt."""
    job = harness.run(simulator.url, image_prompt())
    assert history_ids(simulator) == [prompt_id(job.id, 1)]


def test_threads_end_with_the_executor(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """A stopped executor leaves no thread that polls the queues or runs a job."""
    harness.run(simulator.url, image_prompt())
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("long-poll-", "job-", "lease-", "heartbeat"))]
