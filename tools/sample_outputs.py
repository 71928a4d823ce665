"""Creates docs/pictures/WORKFLOW.webp, one sample output of each bundled workflow: `make docs`.

The workflows run on the simulator, so the images are its placeholders: prompt, seed and size on a plain color.
"""

from __future__ import annotations

import io
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.workflow import WorkflowTemplate

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SAMPLES = {  # workflow: prompt, seed
    "sdxl_realism_v1": ("a lighthouse at dawn", 50),
    "sprite_transparent_bg": ("a snowman", 52),
    "icon_512": ("a paper plane", 51),
}
_SIDE = 320  # pixels
_SQUARE = 16  # pixels of a square of the checkerboard behind transparent images
_LIGHT, _DARK = (255, 255, 255), (225, 225, 225)
_RUN_SECONDS = 30


def sample_outputs() -> dict[str, Image.Image]:
    """Run each bundled workflow on the simulator, and return its output by the workflow's id."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0)) as simulator:
        return {workflow: _scaled(_output(simulator.url, workflow, *sample)) for workflow, sample in SAMPLES.items()}


def _output(url: str, workflow: str, prompt: str, seed: int) -> Image.Image:
    graph, schema = (
        json.loads(resources.files("workflows").joinpath(name).read_text(encoding="utf-8"))
        for name in (f"{workflow}.json", f"{workflow}.schema.json")
    )
    template = WorkflowTemplate.register(graph, schema, None)
    rendered = template.render(template.values({"prompt": prompt, "seed": seed}, {}, None))
    submitted = requests.post(f"{url}/prompt", json={"prompt": rendered}, timeout=10)
    submitted.raise_for_status()
    entry = _history_entry(url, submitted.json()["prompt_id"])
    (image,) = (image for output in entry["outputs"].values() for image in output["images"])
    return Image.open(io.BytesIO(requests.get(f"{url}/view", params=image, timeout=10).content))


def _history_entry(url: str, prompt_id: str) -> Any:  # noqa: ANN401  JSON
    deadline = time.monotonic() + _RUN_SECONDS
    while time.monotonic() < deadline:
        history = requests.get(f"{url}/history/{prompt_id}", timeout=10).json()
        if prompt_id in history:
            return history[prompt_id]
        time.sleep(0.02)
    raise TimeoutError(prompt_id)


def _scaled(image: Image.Image) -> Image.Image:
    """Scale an output down. A checkerboard fills transparent parts, so that text on them is readable everywhere."""
    small = image.convert("RGBA").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    board = Image.new("RGBA", small.size, _LIGHT)
    for left in range(0, _SIDE, _SQUARE):
        for top in range(0, _SIDE, _SQUARE):
            if (left + top) // _SQUARE % 2:
                board.paste(_DARK, (left, top, left + _SQUARE, top + _SQUARE))
    return Image.alpha_composite(board, small).convert("RGB")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, sample in sample_outputs().items():
        sample.save(PICTURES / f"{name}.webp", lossless=True)
