"""`GET /jobs/{id}`: a job's fields, and waiting for a job to end."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import JobEnd, JobFailure, JobStatus
from tests.component.samples import LATER, NOW, SOON
from tests.component.workflows import post, run

if TYPE_CHECKING:
    from tests.component.api import Caller, Gateway

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_queued_job_has_every_field(ada: Caller) -> None:
    """A queued job has every documented field."""
    job_id = post(ada, inputs={"prompt": "x", "seed": 5}, metadata={"a": [1, {"b": 2.5}]}).json["jobId"]
    job = ada.get(f"/jobs/{job_id}").json
    created_at = job["timing"].pop("createdAt")
    assert INSTANT.fullmatch(created_at)
    assert job == {
        "jobId": job_id,
        "status": "queued",
        "workflowId": "w",
        "priority": "normal",
        "progress": None,
        "outputs": None,
        "error": None,
        "cacheHit": False,
        "attempts": 0,
        "seed": 5,
        "timing": {"startedAt": None, "completedAt": None, "executionTimeMs": None},
        "webhook": None,
        "metadata": {"a": [1, {"b": 2.5}]},
    }


def test_a_succeeded_job_has_its_outputs(gateway: Gateway, ada: Caller) -> None:
    """A succeeded job has its outputs with their URLs."""
    job_id = post(ada).json["jobId"]
    run(gateway, job_id, {"a b.png": b"png"})
    job = ada.get(f"/jobs/{job_id}").json
    assert (job["status"], job["progress"], job["attempts"], job["error"]) == ("succeeded", 100, 1, None)
    assert job["timing"]["executionTimeMs"] == 5
    assert all(INSTANT.fullmatch(job["timing"][name]) for name in ("createdAt", "startedAt", "completedAt"))
    (output,) = job["outputs"]
    assert INSTANT.fullmatch(output.pop("downloadUrlExpiresAt"))
    assert output.pop("downloadUrl").startswith("http")
    assert output == {
        "filename": "a b.png",
        "url": f"/outputs/{job_id}/a%20b.png",
        "storagePath": f"outputs/{job_id}/1/a b.png",
        "size": 3,
        "sha256": hashlib.sha256(b"png").hexdigest(),
        "contentType": "image/png",
    }
    assert ada.get(output["url"]).body == b"png"


@pytest.mark.parametrize("recommendation", [None, "Lower width."])
def test_a_failed_job_has_its_error(gateway: Gateway, ada: Caller, recommendation: str | None) -> None:
    """A failed job has the stored error; the recommendation is optional."""
    job_id = post(ada).json["jobId"]
    jobs = gateway.wiring.jobs
    claimed = jobs.claim(job_id, executor_id="e", now=NOW, lease_until=SOON)
    failure = JobFailure(code="COMFYUI_OOM", message="No memory.", retryable=False, recommendation=recommendation)
    jobs.finish(claimed, JobEnd(status=JobStatus.FAILED, completed_at=LATER, error=failure))
    job = ada.get(f"/jobs/{job_id}").json
    allowed = {"code": "COMFYUI_OOM", "message": "No memory.", "retryable": False}
    assert (job["status"], job["outputs"]) == ("failed", None)
    assert job["error"] == (allowed if recommendation is None else {**allowed, "recommendation": recommendation})


@pytest.mark.parametrize("wait", ["0", "0.1", "25", "1e1"])
def test_waiting_for_an_ended_job_returns_immediately(gateway: Gateway, ada: Caller, wait: str) -> None:
    """For an ended job, the response is immediate, whatever `wait` is."""
    job_id = post(ada).json["jobId"]
    run(gateway, job_id, {})
    started = time.monotonic()
    assert ada.get(f"/jobs/{job_id}?wait={wait}").json["status"] == "succeeded"
    assert time.monotonic() - started < 2


def test_waiting_returns_when_the_job_ends(gateway: Gateway, ada: Caller) -> None:
    """A waiting request returns when the job ends, before the wait is over."""
    job_id = post(ada).json["jobId"]
    end = threading.Timer(0.2, run, (gateway, job_id, {"a.png": b"x"}))
    end.start()
    started = time.monotonic()
    job = ada.get(f"/jobs/{job_id}?wait=20").json
    end.join()
    assert job["status"] == "succeeded"
    assert 0.15 < time.monotonic() - started < 5


def test_waiting_ends_after_the_given_time(ada: Caller) -> None:
    """After the wait, the response has the job's present state."""
    job_id = post(ada).json["jobId"]
    started = time.monotonic()
    assert ada.get(f"/jobs/{job_id}?wait=0.2").json["status"] == "queued"
    assert 0.2 <= time.monotonic() - started < 2


@pytest.mark.parametrize("wait", ["", "-1", "26", "25.1", "soon", "nan", "inf", "0x1"])
def test_an_invalid_wait_is_400(ada: Caller, wait: str) -> None:
    """`wait` is 0 to 25 seconds."""
    response = ada.get(f"/jobs/{post(ada).json['jobId']}?wait={wait}")
    assert response.status == 400
    assert [error["path"] for error in response.json["details"]["errors"]] == ["wait"]
