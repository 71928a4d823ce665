"""The metadata of saved files."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from tests.simulator.conftest import FAST

if TYPE_CHECKING:
    from collections.abc import Callable

    import websocket

    from comfyui_simulator import SimulatorServer, SimulatorSettings

MARK = b"only the prompt contains this"


def one_color(color: int) -> dict[str, Any]:
    """Return a node that creates an image."""
    return {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": color}}


def saves(class_type: str, source: str, **inputs: object) -> dict[str, Any]:
    """Return a node that saves two images, or a latent."""
    return {"class_type": class_type, "inputs": {source: ["1" if source == "images" else "2", 0], **inputs}}


PROMPT = {
    "1": {"class_type": "ImageBatch", "inputs": {"image1": ["7", 0], "image2": ["8", 0]}},
    "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "3": saves("SaveImage", "images", filename_prefix="a"),
    "4": saves("SaveAnimatedPNG", "images", filename_prefix="b", fps=6.0, compress_level=4),
    "5": saves("SaveAnimatedWEBP", "images", filename_prefix="c", fps=6.0, lossless=True, quality=80, method="default"),
    "6": saves("SaveLatent", "samples", filename_prefix="d"),
    "7": one_color(1),
    "8": one_color(2),
}


@pytest.mark.parametrize("disabled", [False, True])
def test_files_contain_the_prompt_unless_disabled(
    start: Callable[[SimulatorSettings], SimulatorServer],
    connect: Callable[[SimulatorServer, str], websocket.WebSocket],
    events: Callable[..., list[dict[str, Any]]],
    *,
    disabled: bool,
) -> None:
    """Each format in its own way; with `--disable-metadata`, which /system_stats reports, none does."""
    simulator = start(replace(FAST, disable_metadata=disabled))
    arguments = requests.get(f"{simulator.url}/system_stats", timeout=10).json()["system"]["argv"]
    assert ("--disable-metadata" in arguments) == disabled
    socket = connect(simulator, "c")
    body = {"prompt": PROMPT, "client_id": "c", "extra_data": {"extra_pnginfo": {"note": MARK.decode()}}}
    prompt_id = requests.post(f"{simulator.url}/prompt", json=body, timeout=10).json()["prompt_id"]
    events(socket, "executing")
    entry = requests.get(f"{simulator.url}/history/{prompt_id}", timeout=10).json()[prompt_id]
    shown = [file for output in entry["outputs"].values() for files in output.values() for file in files]
    contents = {
        file["filename"][0]: requests.get(f"{simulator.url}/view", params=file, timeout=10).content
        for file in shown
        if isinstance(file, dict)
    }
    assert sorted(contents) == ["a", "b", "c", "d"]
    assert {MARK in content and b"SaveAnimatedPNG" in content for content in contents.values()} == {not disabled}
    frames = [getattr(Image.open(io.BytesIO(contents[name])), "n_frames", 1) for name in "abc"]
    assert frames == [1, 2, 2]
