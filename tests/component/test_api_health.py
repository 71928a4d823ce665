"""`GET /health`: what anybody may know, and what only those with a key are told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.__about__ import VERSION
from gateway.domain import instant
from gateway.domain.executor import REPORT_FRESH, ExecutorReport
from tests.component.api import aws_calls

if TYPE_CHECKING:
    from tests.component.api import Gateway


def report(gateway: Gateway, executor_id: str, **fields: Any) -> ExecutorReport:  # noqa: ANN401  a report's fields
    """Let an executor report, now if not told otherwise."""
    usual: dict[str, Any] = {
        "version": "1.0",
        "last_seen_at": instant.now(),
        "jobs": 1,
        "waiting": 0,
        "comfyui_url": "http://10.0.0.5:8188",
        "comfyui_reachable": True,
        "comfyui_version": "0.3.75",
        "checkpoints": ("b.safetensors", "a.safetensors"),
    }
    made = ExecutorReport(id=executor_id, **{**usual, **fields})
    gateway.wiring.executors.report(made, expires_at=made.last_seen_at + timedelta(minutes=5))
    return made


def test_anybody_learns_that_it_is_up(gateway: Gateway) -> None:
    """Without a key: whether it is up and reaches a ComfyUI, and no address, model or executor."""
    report(gateway, "gpu-1")
    answer = gateway.nobody.get("/health")
    uptime = answer.json.pop("uptime")
    assert answer.status == 200
    assert uptime >= 0
    assert answer.json == {"ok": True, "version": VERSION, "comfyui": {"reachable": True}}


def test_without_executors_there_is_no_comfyui(gateway: Gateway) -> None:
    """The gateway itself is up all the same."""
    body = gateway.nobody.get("/health").json
    assert (body["ok"], body["comfyui"]) == (True, {"reachable": False})
    signed_in = gateway.ada.get("/health").json
    assert (signed_in["comfyui"], signed_in["executors"]) == ({"reachable": False, "models": []}, [])


def test_those_with_a_key_learn_more(gateway: Gateway) -> None:
    """Every executor with its ComfyUI, and the models of all that can be reached."""
    seen = report(gateway, "gpu-1")
    report(gateway, "gpu-2", checkpoints=("c.safetensors",), comfyui_reachable=False, comfyui_version=None, jobs=0)
    report(gateway, "gpu-3", checkpoints=("a.safetensors", "d.safetensors"))
    body = gateway.ada.get("/health").json
    assert body["comfyui"] == {
        "reachable": True,
        "url": "http://10.0.0.5:8188",
        "models": ["a.safetensors", "b.safetensors", "d.safetensors"],
    }
    assert [executor["id"] for executor in body["executors"]] == ["gpu-1", "gpu-2", "gpu-3"]
    first, second = body["executors"][:2]
    assert first.items() >= {"lastSeenAt": instant.to_text(seen.last_seen_at), "busy": True}.items()
    assert first["comfyui"] == {
        "reachable": True,
        "url": "http://10.0.0.5:8188",
        "version": "0.3.75",
        "models": ["b.safetensors", "a.safetensors"],
    }
    assert (second["busy"], second["comfyui"]["reachable"]) == (False, False)


@pytest.mark.parametrize("age", [REPORT_FRESH + timedelta(seconds=1), timedelta(days=1)])
def test_an_old_report_counts_for_nothing(gateway: Gateway, age: timedelta) -> None:
    """An executor that has stopped reporting is not there, even before its item is swept away."""
    report(gateway, "gpu-1", last_seen_at=instant.now() - age)
    assert gateway.ada.get("/health").json["executors"] == []
    assert gateway.nobody.get("/health").json["comfyui"] == {"reachable": False}


def test_health_is_two_calls(gateway: Gateway) -> None:
    """One counts the request, one reads the reports, however many executors there are."""
    gateway.ada.get("/health")
    with aws_calls(gateway.clients) as calls:
        gateway.ada.get("/health")
        gateway.nobody.get("/health")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query"] * 2
