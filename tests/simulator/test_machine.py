"""The simulated GPU and timing, the API of newer servers, and the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from comfyui_simulator import SimulatorServer, SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import websocket

    Connect = Callable[[SimulatorServer, str], websocket.WebSocket]
    Events = Callable[..., list[dict[str, Any]]]

STOP_SECONDS = 5


def sampled(side: int, seed: int = 1) -> dict[str, Any]:
    """Return a prompt that samples a square."""
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0]}
    options = {"steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    return {
        "3": {"class_type": "KSampler", "inputs": {"seed": seed, **options, **links}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl_base_1.0.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": side, "height": side, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    }


def run_prompt(simulator: SimulatorServer, connect: Connect, events: Events, prompt: dict[str, Any]) -> dict[str, Any]:
    """Run a prompt and return its history entry."""
    socket = connect(simulator, "c")
    body = {"prompt": prompt, "client_id": "c"}
    prompt_id = requests.post(f"{simulator.url}/prompt", json=body, timeout=10).json()["prompt_id"]
    events(socket, "executing")
    history = requests.get(f"{simulator.url}/history/{prompt_id}", timeout=10).json()
    socket.close()
    return dict(history[prompt_id])


def free_memory(simulator: SimulatorServer) -> int:
    """Return the free memory of the GPU, in MB."""
    device = requests.get(f"{simulator.url}/system_stats", timeout=10).json()["devices"][0]
    return int(device["vram_free"] // 1024**2)


def test_large_images_run_out_of_memory(
    start: Callable[[SimulatorSettings], SimulatorServer], connect: Connect, events: Events
) -> None:
    """An image that does not fit fails as on a real GPU and unloads the model; smaller ones still work."""
    simulator = start(SimulatorSettings(vram_total_mb=8_000, seconds_per_step=0.0))
    entry = run_prompt(simulator, connect, events, sampled(2048))
    event, error = entry["status"]["messages"][-1]
    assert (event, error["node_id"], error["node_type"]) == ("execution_error", "3", "KSampler")
    assert error["exception_type"] == "torch.OutOfMemoryError"
    assert "out of memory" in error["exception_message"]
    assert free_memory(simulator) == 8_000
    assert run_prompt(simulator, connect, events, sampled(512))["status"]["status_str"] == "success"
    assert free_memory(simulator) == 1_500


def test_a_checkpoint_is_loaded_once_until_it_is_freed(
    start: Callable[[SimulatorSettings], SimulatorServer], connect: Connect, events: Events
) -> None:
    """Loading takes time on first use and again after /free, which also clears cached results."""
    simulator = start(SimulatorSettings(model_load_seconds=0.5, seconds_per_step=0.0))
    durations = []
    for seed in (1, 2, 3):
        started = time.monotonic()
        entry = run_prompt(simulator, connect, events, sampled(64, seed))
        durations.append(time.monotonic() - started)
        if seed == 2:
            assert entry["status"]["messages"][1][1]["nodes"] == ["4", "5", "6"]
            body = {"unload_models": True, "free_memory": True}
            assert requests.post(f"{simulator.url}/free", json=body, timeout=10).ok
            assert free_memory(simulator) in (simulator.settings.vram_total_mb, 18_076)
    assert entry["status"]["messages"][1][1]["nodes"] == []
    assert [duration > 0.5 for duration in durations] == [True, False, True]


def test_newer_servers_cancel_jobs_whatever_their_state(
    start: Callable[[SimulatorSettings], SimulatorServer], connect: Connect, events: Events
) -> None:
    """With the newer interface jobs have states, a cancel works for waiting and running ones, and ids are UUIDs."""
    simulator = start(SimulatorSettings(seconds_per_step=0.5, newer_api=True))
    socket = connect(simulator, "c")
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for prompt_id in ids:
        body = {"prompt": sampled(64), "client_id": "c", "prompt_id": prompt_id}
        assert requests.post(f"{simulator.url}/prompt", json=body, timeout=10).ok
    events(socket, "executing", "3")
    jobs = requests.get(f"{simulator.url}/api/jobs", timeout=10).json()["jobs"]
    assert [(job["id"], job["status"]) for job in jobs] == [(ids[0], "in_progress"), (ids[1], "pending")]
    for prompt_id in (ids[1], ids[0]):
        response = requests.post(f"{simulator.url}/api/jobs/{prompt_id}/cancel", timeout=10)
        assert response.json() == {"cancelled": True}
    events(socket, "executing")
    assert requests.get(f"{simulator.url}/api/jobs/{ids[0]}", timeout=10).json()["status"] == "cancelled"
    assert requests.get(f"{simulator.url}/api/jobs/{ids[1]}", timeout=10).status_code == 404
    again = requests.post(f"{simulator.url}/api/jobs/{ids[0]}/cancel", timeout=10)
    assert again.json() == {"cancelled": False}
    body = {"prompt": sampled(64), "prompt_id": "MINE"}
    refused = requests.post(f"{simulator.url}/prompt", json=body, timeout=10)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_prompt_id")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal(number: signal.Signals) -> None:
    """It prints one line when ready, applies its options, and exits at once, even in the middle of a prompt."""
    command = [sys.executable, "-m", "comfyui_simulator", "--port", "0", "--checkpoint", "mine.safetensors"]
    command += ["--seconds-per-step", "30", "--vram-mb", "9000", "--control-api"]
    with subprocess.Popen(  # noqa: S603  our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert requests.get(f"{url}/models/checkpoints", timeout=10).json() == ["mine.safetensors"]
        assert requests.post(f"{url}/simulator/faults", json={}, timeout=10).ok
        prompt = sampled(64)
        prompt["4"]["inputs"]["ckpt_name"] = "mine.safetensors"
        assert requests.post(f"{url}/prompt", json={"prompt": prompt}, timeout=10).ok
        process.send_signal(number)
        output, errors = process.communicate(timeout=STOP_SECONDS)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_port_in_use_is_an_error(simulator: SimulatorServer) -> None:
    """A second server on the same port does not start; the error names the port."""
    port = simulator.url.rsplit(":", 1)[1]
    with pytest.raises(OSError, match=port):
        SimulatorServer(SimulatorSettings(port=int(port))).start()
    command = [sys.executable, "-m", "comfyui_simulator", "--port", port]
    result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  our own
    assert (result.returncode, result.stdout) == (1, "")
    assert port in result.stderr
