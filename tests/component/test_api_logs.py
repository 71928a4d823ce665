"""`GET /jobs/{id}/logs`: a job's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.component.workflows import post, run

if TYPE_CHECKING:
    from tests.component.api import Caller, Gateway


def test_a_log_starts_with_acceptance_and_ends_with_the_outcome(gateway: Gateway, ada: Caller) -> None:
    """The first line is the job's acceptance, the last its outcome."""
    job_id = post(ada).json["jobId"]
    assert [line["message"] for line in ada.get(f"/jobs/{job_id}/logs").json["logs"]] == ["Accepted."]
    run(gateway, job_id, {})
    response = ada.get(f"/jobs/{job_id}/logs").json
    job = ada.get(f"/jobs/{job_id}").json
    assert response["jobId"] == job_id
    assert response["logs"][0] == {"timestamp": job["timing"]["createdAt"], "level": "info", "message": "Accepted."}
    assert response["logs"][-1]["timestamp"] == job["timing"]["completedAt"]
    assert response["logs"][-1]["message"].startswith("Succeeded.")


def test_a_canceled_job_has_a_log(ada: Caller) -> None:
    """A job canceled while queued has a log without an executor."""
    job_id = post(ada).json["jobId"]
    ada.post(f"/jobs/{job_id}/cancel")
    assert [line["message"] for line in ada.get(f"/jobs/{job_id}/logs").json["logs"]] == ["Accepted.", "Canceled."]


def test_another_owners_log_is_404(gateway: Gateway, ada: Caller) -> None:
    """Other users get 404."""
    job_id = post(ada).json["jobId"]
    assert gateway.bob.get(f"/jobs/{job_id}/logs").status == 404
