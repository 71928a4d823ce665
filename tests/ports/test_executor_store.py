"""The port ExecutorStore."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.domain.executor import Device, Heartbeat
from gateway.domain.model_files import ModelFolder
from tests.component.samples import LATER, NOW

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

HEARTBEAT = Heartbeat(
    id="gpu-1",
    version="1.0",
    last_seen_at=NOW,
    jobs=1,
    waiting=3,
    mean_run_ms=1500,
    comfyui_url="http://127.0.0.1:8188",
    comfyui_reachable=True,
    comfyui_version="0.3.75",
    current_job_id="j",
    device=Device(name="cuda:0 “GPU”", vram_total_bytes=24_000_000_000, vram_free_bytes=5),
)


def test_a_heartbeat_is_read_as_it_was_put(ports: Ports) -> None:
    """With and without the fields that are unknown while ComfyUI does not respond."""
    unknown: dict[str, Any] = {"comfyui_version": None, "device": None, "current_job_id": None, "mean_run_ms": None}
    silent = replace(HEARTBEAT, id="gpu-2", comfyui_reachable=False, **unknown)
    ports.executors.put_heartbeat(silent, expires_at=LATER)
    ports.executors.put_heartbeat(HEARTBEAT, expires_at=LATER)
    assert ports.executors.heartbeats(NOW) == [HEARTBEAT, silent]


def test_only_the_last_heartbeat_of_an_executor_counts(ports: Ports) -> None:
    """A heartbeat replaces the one before; old ones are left out."""
    ports.executors.put_heartbeat(HEARTBEAT, expires_at=LATER)
    newer = replace(HEARTBEAT, last_seen_at=LATER, jobs=0)
    ports.executors.put_heartbeat(newer, expires_at=LATER)
    assert ports.executors.heartbeats(NOW) == [newer]
    assert ports.executors.heartbeats(LATER + timedelta(milliseconds=1)) == []


def test_models_are_read_as_they_were_put(ports: Ports) -> None:
    """Each executor's last list counts; lists are not heartbeats."""
    ports.executors.put_models("gpu-1", {"loras": ModelFolder(1, ("old",))}, expires_at=LATER)
    folders = {"checkpoints": ModelFolder(900, ("a.safetensors", "ü.safetensors")), "vae": ModelFolder(1, ())}
    ports.executors.put_models("gpu-1", folders, expires_at=LATER)
    ports.executors.put_models("gpu-2", {}, expires_at=LATER)
    assert ports.executors.models() == {"gpu-1": folders, "gpu-2": {}}
    assert ports.executors.heartbeats(NOW) == []
