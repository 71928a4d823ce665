"""`GET /jobs/{id}/logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.component.workflows import post, run

if TYPE_CHECKING:
    from tests.component.api import Caller, Gateway


def test_a_log_begins_and_ends_with_the_job(gateway: Gateway, ada: Caller) -> None:
    """The first line is its acceptance, the last its end."""
    job_id = post(ada).json["jobId"]
    assert [line["message"] for line in ada.get(f"/jobs/{job_id}/logs").json["logs"]] == ["Accepted."]
    run(gateway, job_id, {})
    response = ada.get(f"/jobs/{job_id}/logs").json
    job = ada.get(f"/jobs/{job_id}").json
    assert response["jobId"] == job_id
    assert response["logs"][0] == {"timestamp": job["timing"]["createdAt"], "level": "info", "message": "Accepted."}
    assert response["logs"][-1]["timestamp"] == job["timing"]["completedAt"]
    assert response["logs"][-1]["message"].startswith("Succeeded.")


def test_a_canceled_job_says_so(ada: Caller) -> None:
    """Also when no executor ever saw it."""
    job_id = post(ada).json["jobId"]
    ada.post(f"/jobs/{job_id}/cancel")
    assert [line["message"] for line in ada.get(f"/jobs/{job_id}/logs").json["logs"]] == ["Accepted.", "Canceled."]


def test_another_owner_reads_no_log(gateway: Gateway, ada: Caller) -> None:
    """The job does not exist for others."""
    job_id = post(ada).json["jobId"]
    assert gateway.bob.get(f"/jobs/{job_id}/logs").status == 404
