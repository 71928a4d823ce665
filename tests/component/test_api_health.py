"""`GET /health`: what anybody may know, and what only those with a key are told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.__about__ import VERSION
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from gateway.domain.executor import HEARTBEAT_MAX_AGE, Device, Heartbeat
from gateway.domain.model_files import listed
from tests.component.api import AwsGateway, aws_calls

if TYPE_CHECKING:
    from tests.component.api import Gateway


def report(
    gateway: Gateway,
    executor_id: str,
    *,
    models: dict[str, list[str]] | None = None,
    **fields: Any,  # noqa: ANN401  a report's fields
) -> Heartbeat:
    """Let an executor report, now if not told otherwise."""
    usual: dict[str, Any] = {
        "version": "1.0",
        "last_seen_at": SYSTEM_CLOCK.now(),
        "jobs": 1,
        "waiting": 0,
        "comfyui_url": "http://10.0.0.5:8188",
        "comfyui_reachable": True,
        "comfyui_version": "0.3.75",
        "current_job_id": "the-job",
        "device": Device(name="cuda:0", vram_total_bytes=24, vram_free_bytes=7),
    }
    made = Heartbeat(id=executor_id, **{**usual, **fields})
    expires_at = made.last_seen_at + timedelta(minutes=5)
    gateway.wiring.executors.put_heartbeat(made, expires_at=expires_at)
    gateway.wiring.executors.put_models(executor_id, listed(models or {}), expires_at=expires_at)
    return made


def test_anybody_learns_that_it_is_up(gateway: Gateway) -> None:
    """Without a key: whether it is up and reaches a ComfyUI, and no address, model or executor."""
    report(gateway, "gpu-1")
    response = gateway.nobody.get("/health")
    uptime = response.json.pop("uptime")
    assert response.status == 200
    assert uptime >= 0
    assert response.json == {"ok": True, "version": VERSION, "comfyui": {"reachable": True}}


def test_without_executors_there_is_no_comfyui(gateway: Gateway) -> None:
    """The gateway itself is up all the same."""
    body = gateway.nobody.get("/health").json
    assert (body["ok"], body["comfyui"]) == (True, {"reachable": False})
    signed_in = gateway.ada.get("/health").json
    assert (signed_in["comfyui"], signed_in["executors"]) == ({"reachable": False, "models": []}, [])


def test_those_with_a_key_learn_more(gateway: Gateway) -> None:
    """Every executor with its ComfyUI, and the checkpoints of all that can be reached."""
    seen = report(gateway, "gpu-1", models={"checkpoints": ["b.sft", "a.sft"], "loras": ["l.sft"]})
    unknown: dict[str, Any] = {"comfyui_version": None, "device": None, "current_job_id": None}
    report(gateway, "gpu-2", models={"checkpoints": ["c.sft"]}, comfyui_reachable=False, jobs=0, **unknown)
    report(gateway, "gpu-3", models={"checkpoints": ["a.sft", "d.sft"]})
    body = gateway.ada.get("/health").json
    assert body["comfyui"] == {
        "reachable": True,
        "url": "http://10.0.0.5:8188",
        "models": ["a.sft", "b.sft", "d.sft"],
    }
    first, second, third = body["executors"]
    assert first == {
        "id": "gpu-1",
        "lastSeenAt": timestamps.to_text(seen.last_seen_at),
        "busy": True,
        "version": "1.0",
        "comfyui": {
            "reachable": True,
            "url": "http://10.0.0.5:8188",
            "version": "0.3.75",
            "device": {"name": "cuda:0", "vramTotalBytes": 24, "vramFreeBytes": 7},
            "models": {
                "checkpoints": {"count": 2, "names": ["a.sft", "b.sft"]},
                "loras": {"count": 1, "names": ["l.sft"]},
            },
        },
    }
    assert (second["busy"], second["comfyui"]["reachable"], second["comfyui"]["device"]) == (False, False, None)
    assert third["id"] == "gpu-3"


def test_only_admins_learn_which_job_runs(gateway: Gateway) -> None:
    """It may be anybody's."""
    report(gateway, "gpu-1")
    report(gateway, "gpu-2", current_job_id=None)
    executors = gateway.admin.get("/health").json["executors"]
    assert [executor["currentJobId"] for executor in executors] == ["the-job", None]
    assert "the-job" not in gateway.ada.get("/health").body.decode()


@pytest.mark.parametrize("age", [HEARTBEAT_MAX_AGE + timedelta(seconds=1), timedelta(days=1)])
def test_an_old_report_counts_for_nothing(gateway: Gateway, age: timedelta) -> None:
    """An executor that has stopped reporting is not there, even before its item is swept away."""
    report(gateway, "gpu-1", last_seen_at=SYSTEM_CLOCK.now() - age)
    assert gateway.ada.get("/health").json["executors"] == []
    assert gateway.nobody.get("/health").json["comfyui"] == {"reachable": False}


def test_health_is_two_calls_or_three(aws_gateway: AwsGateway) -> None:
    """One counts the request, one reads the reports, one the models: however many executors there are."""
    aws_gateway.ada.get("/health")
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.nobody.get("/health")
        aws_gateway.ada.get("/health")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"] * 2 + ["dynamodb.Query"]
