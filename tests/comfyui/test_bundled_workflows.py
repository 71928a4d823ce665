"""The bundled workflows on a real ComfyUI: number, size and transparency of their images."""

from __future__ import annotations

import io
import json
import random
import time
import uuid
from importlib import resources
from typing import Any

import pytest
import requests
from PIL import Image, ImageDraw

from gateway.domain.inputs import Limits
from gateway.domain.workflow import WorkflowTemplate

SIZE = 256
SUBJECT = (64, 64, 192, 192)
TINY = {"prompt": "a fox", "width": 64, "height": 64, "steps": 2, "seed": 1}


def rendered(name: str, **inputs: object) -> dict[str, Any]:
    """Render the prompt of a bundled workflow."""
    files = resources.files("workflows")
    graph = json.loads(files.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    schema = json.loads(files.joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))
    workflow = WorkflowTemplate.register(graph, schema, None)
    return workflow.render(workflow.values(inputs, {}, Limits(max_image_size=2048, max_batch_size=8)))


def run(url: str, graph: dict[str, Any]) -> list[Image.Image]:
    """Run a prompt and fetch its images."""
    prompt_id = str(uuid.uuid4())
    for node in graph.values():
        if node["class_type"] == "SaveImage":
            node["inputs"]["filename_prefix"] = prompt_id
    body = {"prompt": graph, "prompt_id": prompt_id, "client_id": str(uuid.uuid4())}
    response = requests.post(f"{url}/prompt", json=body, timeout=30)
    assert response.status_code == 200, response.text
    assert not response.json()["node_errors"]
    while not (history := requests.get(f"{url}/history/{prompt_id}", timeout=30).json()):
        time.sleep(0.1)
    assert history[prompt_id]["status"]["status_str"] == "success", history[prompt_id]["status"]
    return [
        Image.open(io.BytesIO(requests.get(f"{url}/view", params=file, timeout=30).content))
        for output in history[prompt_id]["outputs"].values()
        for file in output["images"]
    ]


def cut_out(url: str, image: Image.Image, **inputs: object) -> Image.Image:
    """Replace the sampled image, and run the rest of the sprite workflow."""
    png = io.BytesIO()
    image.save(png, "PNG")
    upload = {"image": (f"{uuid.uuid4()}.png", png.getvalue(), "image/png")}
    name = requests.post(f"{url}/upload/image", files=upload, timeout=30).json()["name"]
    graph = rendered("sprite_transparent_bg", prompt="-", width=SIZE, height=SIZE, **inputs)
    sampled = ("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler")
    graph = {node_id: node for node_id, node in graph.items() if node["class_type"] not in sampled}
    decode_id = next(node_id for node_id, node in graph.items() if node["class_type"] == "VAEDecode")
    graph[decode_id] = {"class_type": "LoadImage", "inputs": {"image": name}}
    (cut,) = run(url, graph)
    return cut


def noisy_image(background: tuple[int, int, int], subject: tuple[int, int, int]) -> Image.Image:
    """Draw a disc with two small holes in the background's color, then add noise, a gradient and JPEG artifacts."""
    image = Image.new("RGB", (SIZE, SIZE), background)
    draw = ImageDraw.Draw(image)
    draw.ellipse(SUBJECT, fill=subject)
    draw.ellipse((100, 100, 108, 108), fill=background)
    draw.ellipse((148, 100, 156, 108), fill=background)
    noise = random.Random(0)  # noqa: S311  not a secret
    pixels = image.load()
    assert pixels is not None
    for y in range(SIZE):
        for x in range(SIZE):
            color = image.getpixel((x, y))
            assert isinstance(color, tuple)
            pixels[x, y] = tuple(round(c + noise.gauss(0, 4) - 10 * y / SIZE) for c in color)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=80)
    return Image.open(jpeg)


def share_of(alpha: Image.Image, mask: Image.Image, low: int, high: int) -> float:
    """Return the share of the masked part with a transparency in a range."""
    histogram = alpha.histogram(mask)
    return sum(histogram[low : high + 1]) / sum(histogram)


@pytest.mark.parametrize(
    ("name", "inputs", "size", "mode"),
    [
        ("sdxl_realism_v1", {}, (64, 64), "RGB"),
        ("sprite_transparent_bg", {"batch_size": 2}, (64, 64), "RGBA"),
        ("sprite_transparent_bg", {"width": 96}, (96, 64), "RGBA"),
        ("icon_512", {}, (64, 64), "RGB"),
        ("icon_512", {"upscale": 2}, (128, 128), "RGB"),
    ],
)
def test_makes_images(comfyui_url: str, name: str, inputs: dict[str, int], size: tuple[int, int], mode: str) -> None:
    """Each workflow makes the requested number of images in the requested size; a sprite's have an alpha channel."""
    images = run(comfyui_url, rendered(name, **{**TINY, **inputs}))
    assert len(images) == inputs.get("batch_size", 1)
    assert {(image.size, image.mode) for image in images} == {(size, mode)}


@pytest.mark.parametrize(
    ("background", "subject"),
    [((246, 245, 243), (40, 110, 200)), ((246, 245, 243), (250, 215, 190)), ((60, 200, 80), (250, 250, 250))],
    ids=["blue on white", "pale on white", "white on green"],
)
def test_cuts_the_subject_out(
    comfyui_url: str, background: tuple[int, int, int], subject: tuple[int, int, int]
) -> None:
    """A sprite's noisy background becomes transparent; its subject stays opaque, including holes like eyes."""
    alpha = cut_out(comfyui_url, noisy_image(background, subject)).getchannel("A")
    outside = Image.new("1", alpha.size, 1)
    ImageDraw.Draw(outside).ellipse([SUBJECT[0] - 3, SUBJECT[1] - 3, SUBJECT[2] + 3, SUBJECT[3] + 3], fill=0)
    inside = Image.new("1", alpha.size, 0)
    ImageDraw.Draw(inside).ellipse([SUBJECT[0] + 4, SUBJECT[1] + 4, SUBJECT[2] - 4, SUBJECT[3] - 4], fill=1)
    assert share_of(alpha, outside, 0, 8) > 0.995
    assert share_of(alpha, inside, 247, 255) > 0.995


def test_can_leave_holes_open(comfyui_url: str) -> None:
    """With fill_holes 0, parts of the subject in the background's color are transparent, too."""
    alpha = cut_out(comfyui_url, noisy_image((246, 245, 243), (40, 110, 200)), fill_holes=0).getchannel("A")
    assert alpha.getpixel((104, 104)) == 0
    assert alpha.getpixel((128, 128)) == 255
