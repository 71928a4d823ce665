"""Surprising behavior of ComfyUI that can be provoked from outside; other faults are in tests/faults."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest
import requests

from gateway.domain.job import JobStatus
from testing.executor_harness import AwsExecutorHarness
from testing.fault_proxy import FaultProxy, ProxiedRequest, comfyui_step
from testing.invariant_observer import InvariantObserver
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until
from tests.comfyui.prompts import running
from tests.faults.executor_process import executor_process
from tests.faults.stalled_client import stalled_client

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.aws.clients import Clients
    from gateway.domain.job import Job

LEASE_SECONDS = 30


class QuirkEnvironment:
    """An executor on one ComfyUI, with the invariants checked."""

    def __init__(self, harness: AwsExecutorHarness, comfyui_url: str) -> None:
        self.harness = harness
        self._comfyui_url = comfyui_url
        self._observer = InvariantObserver(harness)

    def ended(self, *job_ids: str, lease_seconds: int = LEASE_SECONDS) -> list[Job]:
        """Wait until the jobs have ended, and check the invariants."""
        jobs = [self.harness.wait_until_ended(job_id) for job_id in job_ids]
        self._observer.check(*job_ids, lease_seconds=lease_seconds, comfyui_urls=[self._comfyui_url])
        return jobs

    def contents(self, job: Job) -> list[bytes]:
        """Return the contents of a job's outputs."""
        return [self.harness.objects.get(output.key) for output in job.outputs or ()]


@pytest.fixture
def env(aws: dict[str, str], aws_clients: Clients, comfyui_url: str) -> QuirkEnvironment:
    """Return an environment with this test's AWS and ComfyUI."""
    return QuirkEnvironment(AwsExecutorHarness(aws, aws_clients), comfyui_url)


def test_the_history_lags_behind_the_events(env: QuirkEnvironment, comfyui_url: str) -> None:
    """Very short jobs, one after the other: none is mistaken for a lost one."""
    with env.harness.run_executor(comfyui_url):
        jobs = env.ended(*[env.harness.submit(image_prompt(color)) for color in range(20)])
    assert {(job.status, job.attempt) for job in jobs} == {(JobStatus.SUCCEEDED, 1)}


def test_an_error_event_is_not_always_the_end(env: QuirkEnvironment, comfyui_url: str) -> None:
    """A blocked branch is reported as an error, and the execution succeeds with the output of the other branch."""
    prompt = image_prompt()
    prompt["3"] = {"class_type": "LabBlock", "inputs": {"image": ["1", 0], "message": "blocked on purpose"}}
    prompt["4"] = {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "blocked"}}
    with env.harness.run_executor(comfyui_url):
        (job,) = env.ended(env.harness.submit(prompt))
    assert job.status is JobStatus.SUCCEEDED
    assert [output.filename for output in job.outputs or ()] == ["image_00001_.png"]


def test_cached_executions_have_outputs(env: QuirkEnvironment, comfyui_url: str) -> None:
    """The second run of an equal prompt executes nothing, and still reports its outputs."""
    reported = json.dumps({"text": [str(uuid.uuid4())]})
    prompt = {**image_prompt(), "2": {"class_type": "LabUI", "inputs": {"json": reported, "image": ["1", 0]}}}
    with env.harness.run_executor(comfyui_url):
        jobs = [env.ended(env.harness.submit(prompt))[0] for _ in range(2)]
    assert env.contents(jobs[0]) == env.contents(jobs[1]) == [json.loads(reported)["text"][0].encode()]


def test_equal_prompts_share_no_files(env: QuirkEnvironment, comfyui_url: str) -> None:
    """Each job has its own files in ComfyUI and in the store, named as the template says."""
    with env.harness.run_executor(comfyui_url):
        jobs = env.ended(*[env.harness.submit(image_prompt(color=7)) for _ in range(2)])
    assert [output.filename for job in jobs for output in job.outputs or ()] == ["image_00001_.png"] * 2


def test_an_interrupt_right_after_the_submission(env: QuirkEnvironment, comfyui_url: str) -> None:
    """It may be lost, and is repeated until the prompt is gone."""
    with env.harness.run_executor(comfyui_url):
        for _ in range(4):
            job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
            wait_until(lambda: running(comfyui_url), "a running prompt")
            env.harness.request_cancel(job_id)
            (job,) = env.ended(job_id)
            assert job.status is JobStatus.CANCELED


def test_a_client_that_does_not_read_its_socket(env: QuirkEnvironment, comfyui_url: str) -> None:
    """It stalls the events of all clients; jobs end by HTTP, and silence is not mistaken for a hanging ComfyUI."""
    with stalled_client(comfyui_url), env.harness.run_executor(comfyui_url, COMFYUI_STALL_MS="1500"):
        (job,) = env.ended(env.harness.submit(sleep_prompt(4.0)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_an_executor_that_dies_stops_no_prompt(env: QuirkEnvironment, comfyui_url: str, tmp_path: Path) -> None:
    """The next executor resumes the running prompt, and uses its result."""
    environment = {**env.harness.environment, "COMFYUI_URL": comfyui_url, "LEASE_SECONDS": "2"}
    with executor_process(environment, tmp_path / "executor.log") as process:
        job_id = env.harness.submit(sleep_prompt(6.0))
        wait_until(lambda: running(comfyui_url), "a running prompt")
        (prompt,) = running(comfyui_url)
        process.kill()
    with env.harness.run_executor(comfyui_url, LEASE_SECONDS="2"):
        wait_until(lambda: env.harness.job(job_id).attempt == 2, "a second attempt")
        assert running(comfyui_url) == [prompt]
        (job,) = env.ended(job_id, lease_seconds=2)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def queued_twice(proxied: ProxiedRequest) -> None:
    """Send a prompt twice under the same id and number: the second time ComfyUI queues it and responds with 500."""
    body = {**json.loads(proxied.request.body), "number": 7_000_000}
    twice = proxied.with_body(json.dumps(body).encode())
    assert twice.forward().status == 200
    response = twice.forward()
    assert response.status == 500
    proxied.respond(response)


def test_a_prompt_that_is_queued_despite_an_error_runs(env: QuirkEnvironment, comfyui_url: str) -> None:
    """The executor finds it in the queue."""
    first = {"prompt": sleep_prompt(3.0), "client_id": "somebody"}
    requests.post(f"{comfyui_url}/prompt", json=first, timeout=10).raise_for_status()
    wait_until(lambda: running(comfyui_url), "a prompt of somebody else")
    with FaultProxy(comfyui_url, comfyui_step) as proxy, env.harness.run_executor(proxy.url):
        proxy.inject("POST /prompt", queued_twice)
        (job,) = env.ended(env.harness.submit(sleep_prompt(0.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
