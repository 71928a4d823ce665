"""`GET /health`: the public response, and the detailed one for callers with a key."""

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


def add_executor(
    gateway: Gateway,
    executor_id: str,
    *,
    models: dict[str, list[str]] | None = None,
    **fields: Any,  # noqa: ANN401  the fields of a heartbeat
) -> Heartbeat:
    """Store an executor's heartbeat, with the present time by default."""
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
    heartbeat = Heartbeat(id=executor_id, **{**usual, **fields})
    expires_at = heartbeat.last_seen_at + timedelta(minutes=5)
    gateway.wiring.executors.put_heartbeat(heartbeat, expires_at=expires_at)
    gateway.wiring.executors.put_models(executor_id, listed(models or {}), expires_at=expires_at)
    return heartbeat


def test_health_is_public(gateway: Gateway) -> None:
    """Without a key, the response has no address, model or executor."""
    add_executor(gateway, "gpu-1")
    response = gateway.anonymous.get("/health")
    uptime = response.json.pop("uptime")
    assert response.status == 200
    assert uptime >= 0
    assert response.json == {"ok": True, "version": VERSION, "comfyui": {"reachable": True}}


def test_comfyui_is_unreachable_without_executors(gateway: Gateway) -> None:
    """Without executors, ComfyUI is unreachable and `ok` is true."""
    body = gateway.anonymous.get("/health").json
    assert (body["ok"], body["comfyui"]) == (True, {"reachable": False})
    signed_in = gateway.ada.get("/health").json
    assert (signed_in["comfyui"], signed_in["executors"]) == ({"reachable": False, "models": []}, [])


def test_callers_with_a_key_see_every_executor(gateway: Gateway) -> None:
    """With a key, the response has every executor, and the checkpoints of the reachable ones."""
    seen = add_executor(gateway, "gpu-1", models={"checkpoints": ["b.sft", "a.sft"], "loras": ["l.sft"]})
    unknown: dict[str, Any] = {"comfyui_version": None, "device": None, "current_job_id": None}
    add_executor(gateway, "gpu-2", models={"checkpoints": ["c.sft"]}, comfyui_reachable=False, jobs=0, **unknown)
    add_executor(gateway, "gpu-3", models={"checkpoints": ["a.sft", "d.sft"]})
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


def test_only_admins_see_current_job_ids(gateway: Gateway) -> None:
    """Users do not see job ids, which may be those of other owners."""
    add_executor(gateway, "gpu-1")
    add_executor(gateway, "gpu-2", current_job_id=None)
    executors = gateway.admin.get("/health").json["executors"]
    assert [executor["currentJobId"] for executor in executors] == ["the-job", None]
    assert "the-job" not in gateway.ada.get("/health").body.decode()


@pytest.mark.parametrize("age", [HEARTBEAT_MAX_AGE + timedelta(seconds=1), timedelta(days=1)])
def test_an_outdated_heartbeat_is_ignored(gateway: Gateway, age: timedelta) -> None:
    """An executor without recent heartbeats is left out, even before its item expires."""
    add_executor(gateway, "gpu-1", last_seen_at=SYSTEM_CLOCK.now() - age)
    assert gateway.ada.get("/health").json["executors"] == []
    assert gateway.anonymous.get("/health").json["comfyui"] == {"reachable": False}


def test_health_costs_two_calls_or_three_with_a_key(aws_gateway: AwsGateway) -> None:
    """The calls are the rate limit, heartbeats and, with a key, models, however many executors there are."""
    aws_gateway.ada.get("/health")
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.anonymous.get("/health")
        aws_gateway.ada.get("/health")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"] * 2 + ["dynamodb.Query"]
