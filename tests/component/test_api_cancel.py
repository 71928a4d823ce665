"""`POST /jobs/{id}/cancel` in every job state."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobEnd, JobStatus
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import LeaseLostError, StateConflictError
from tests.component.workflows import post, run

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from tests.component.api import Caller, Gateway


def claim(gateway: Gateway, job_id: str, seconds: float = 30) -> Job:
    """Claim a job as an executor does."""
    now = SYSTEM_CLOCK.now()
    return gateway.wiring.jobs.claim(job_id, executor_id="e", now=now, lease_until=now + timedelta(seconds=seconds))


def claim_concurrently(gateway: Gateway, job_id: str, barrier: threading.Barrier, claimed: list[Job]) -> None:
    """Claim a job at the same moment as another thread acts."""
    barrier.wait()
    with contextlib.suppress(JobNotClaimableError):
        claimed.append(claim(gateway, job_id))


def test_a_queued_job_is_canceled_at_once(gateway: Gateway, ada: Caller) -> None:
    """A queued job ends, and no executor can claim it."""
    job_id = post(ada).json["jobId"]
    response = ada.post(f"/jobs/{job_id}/cancel")
    assert (response.status, response.json) == (
        200,
        {"jobId": job_id, "status": "canceled", "message": "Cancellation requested"},
    )
    job = ada.get(f"/jobs/{job_id}").json
    assert job["status"] == "canceled"
    assert job["timing"]["completedAt"] is not None
    with pytest.raises(JobNotClaimableError):
        claim(gateway, job_id)


def test_a_running_job_gets_a_cancel_request(gateway: Gateway, ada: Caller) -> None:
    """A running job stays running until its executor sees the request at the next lease renewal."""
    job_id = post(ada).json["jobId"]
    job = claim(gateway, job_id)
    assert ada.post(f"/jobs/{job_id}/cancel").json["status"] == "running"
    renewed = gateway.wiring.jobs.renew(job, lease_until=SYSTEM_CLOCK.now() + timedelta(seconds=30), progress=1)
    assert renewed.cancel_requested


def test_a_job_between_two_attempts_is_canceled_at_once(gateway: Gateway, ada: Caller) -> None:
    """A released job has no lease, so it ends at once; the released attempt can write nothing."""
    job_id = post(ada).json["jobId"]
    job = claim(gateway, job_id)
    gateway.wiring.jobs.release(job)
    assert ada.post(f"/jobs/{job_id}/cancel").json["status"] == "canceled"
    with pytest.raises(LeaseLostError):
        gateway.wiring.jobs.finish(job, JobEnd(status=JobStatus.SUCCEEDED, completed_at=SYSTEM_CLOCK.now()))


def test_an_ended_job_cannot_be_canceled(gateway: Gateway, ada: Caller) -> None:
    """Canceling an ended job is 409 and changes nothing."""
    job_id = post(ada).json["jobId"]
    run(gateway, job_id, {})
    before = ada.get(f"/jobs/{job_id}").json
    response = ada.post(f"/jobs/{job_id}/cancel")
    assert (response.status, response.json["error"]) == (409, "CONFLICT")
    assert ada.get(f"/jobs/{job_id}").json == before


def test_another_owners_job_cannot_be_canceled(gateway: Gateway, ada: Caller) -> None:
    """Another user gets 404; an admin can cancel the job."""
    job_id = post(ada).json["jobId"]
    assert gateway.bob.post(f"/jobs/{job_id}/cancel").status == 404
    assert ada.get(f"/jobs/{job_id}").json["status"] == "queued"
    assert gateway.admin.post(f"/jobs/{job_id}/cancel").status == 200


def test_a_cancel_and_a_claim_never_both_win(gateway: Gateway, ada: Caller) -> None:
    """In a race, either the job is canceled unclaimed, or the claimed job has a cancel request."""
    for _ in range(20):
        job_id = post(ada).json["jobId"]
        claimed: list[Job] = []
        barrier = threading.Barrier(2)
        executor = threading.Thread(target=claim_concurrently, args=(gateway, job_id, barrier, claimed))
        executor.start()
        barrier.wait()
        canceled = gateway.wiring.jobs.cancel(job_id, now=SYSTEM_CLOCK.now())
        executor.join()
        stored = gateway.wiring.jobs.get(job_id)
        assert stored is not None
        if claimed:
            assert canceled.status is JobStatus.RUNNING
            assert stored.cancel_requested
        else:
            assert stored.status is JobStatus.CANCELED


def test_a_cancel_and_a_finish_never_both_win(gateway: Gateway, ada: Caller) -> None:
    """In a race, the job ends once, as succeeded."""
    for _ in range(20):
        job_id = post(ada).json["jobId"]
        job = claim(gateway, job_id)
        barrier = threading.Barrier(2)

        def finish(job: Job = job, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            gateway.wiring.jobs.finish(job, JobEnd(status=JobStatus.SUCCEEDED, completed_at=SYSTEM_CLOCK.now()))

        executor = threading.Thread(target=finish)
        executor.start()
        barrier.wait()
        with contextlib.suppress(StateConflictError):
            gateway.wiring.jobs.cancel(job_id, now=SYSTEM_CLOCK.now())
        executor.join()
        stored = gateway.wiring.jobs.get(job_id)
        assert stored is not None
        assert stored.status is JobStatus.SUCCEEDED
