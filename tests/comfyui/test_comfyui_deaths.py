"""ComfyUI or its worker thread dies. These tests have their own servers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import requests

from gateway.domain.job import JobStatus
from testing.executor_harness import AwsExecutorHarness
from testing.invariant_observer import InvariantObserver
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from gateway.aws.clients import Clients
    from tests.comfyui.real_comfyui import RealComfyUI

LEASE_SECONDS = 30
END_SECONDS = 90.0  # a real server takes a while to start


def queued(url: str) -> int:
    """Count the prompts that run and wait on a ComfyUI."""
    return sum(map(len, requests.get(f"{url}/queue", timeout=10).json().values()))


def test_a_server_that_is_killed(
    aws: dict[str, str], aws_clients: Clients, mortal_comfyui: SimulatorServer | RealComfyUI
) -> None:
    """Queue and history are lost: both jobs run again after its restart, with progress."""
    harness = AwsExecutorHarness(aws, aws_clients)
    observer = InvariantObserver(harness)
    with harness.run_executor(mortal_comfyui.url):
        jobs = [harness.submit(sleep_prompt(4.0)) for _ in range(2)]
        wait_until(lambda: queued(mortal_comfyui.url) == 2, "one prompt running and one waiting")
        mortal_comfyui.kill()
        mortal_comfyui.start()
        wait_until(
            lambda: any(0 < (harness.job(job_id).progress or 0) < 100 for job_id in jobs), "progress", END_SECONDS
        )
        ended = [harness.wait_until_ended(job_id, END_SECONDS) for job_id in jobs]
        observer.check(*jobs, lease_seconds=LEASE_SECONDS, comfyui_urls=[mortal_comfyui.url])
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_a_worker_thread_that_dies(
    aws: dict[str, str], aws_clients: Clients, mortal_comfyui: SimulatorServer | RealComfyUI
) -> None:
    """HTTP works but nothing runs. The executor detects it, and the next job waits for the restart."""
    harness = AwsExecutorHarness(aws, aws_clients)
    observer = InvariantObserver(harness)
    deadly = image_prompt()
    deadly["2"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "never"}}
    deadly["3"] = {"class_type": "LabRaise", "inputs": {"image": ["1", 0], "kind": "SystemExit", "message": "bye"}}
    with harness.run_executor(mortal_comfyui.url, COMFYUI_STALL_MS="3000", MAX_ATTEMPTS="1"):
        killer = harness.wait_until_ended(harness.submit(deadly), END_SECONDS)
        assert killer.error is not None
        assert killer.error.code == "COMFYUI_UNREACHABLE"
        assert "Restart this ComfyUI" in (killer.error.recommendation or "")
        waiting = harness.submit(image_prompt())
        time.sleep(2)
        assert harness.job(waiting).status is JobStatus.QUEUED
        mortal_comfyui.kill()
        mortal_comfyui.start()
        job = harness.wait_until_ended(waiting, END_SECONDS)
        observer.check(killer.id, waiting, lease_seconds=LEASE_SECONDS, comfyui_urls=[mortal_comfyui.url])
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
