"""Nodes compute the same pixels as a real server."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator import SimulatorServer

    Prompt = dict[str, dict[str, Any]]
    Render = Callable[[Prompt], list[Image.Image]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    """Return a node."""
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def render(simulator: SimulatorServer, run: Callable[[Prompt], dict[str, Any]]) -> Render:
    """Run a prompt and return its images."""

    def get_images(prompt: Prompt) -> list[Image.Image]:
        entry = run(prompt)
        assert entry["status"]["status_str"] == "success", entry["status"]
        files = [file for output in entry["outputs"].values() for file in output["images"]]
        return [Image.open(io.BytesIO(view(simulator, **file))) for file in files]

    return get_images


def view(simulator: SimulatorServer, **params: str) -> bytes:
    """Return a file."""
    response = requests.get(f"{simulator.url}/view", params=params, timeout=10)
    assert response.ok, response.status_code
    return response.content


def upload(simulator: SimulatorServer, image: Image.Image, name: str) -> None:
    """Upload an image as an input."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    files = {"image": (name, buffer.getvalue())}
    assert requests.post(f"{simulator.url}/upload/image", files=files, timeout=10).json()["name"] == name


def sampled(**changes: Any) -> Prompt:  # noqa: ANN401  any JSON
    """Return a prompt that samples, with changes to the sampler's and the latent's inputs."""
    sampler = {"seed": 7, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    size = {"width": 128, "height": 96, "batch_size": 1}
    return {
        "3": node("KSampler", **{name: changes.get(name, value) for name, value in sampler.items()}, **links),
        "4": node("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors"),
        "5": node("EmptyLatentImage", **{name: changes.get(name, value) for name, value in size.items()}),
        "6": node("CLIPTextEncode", text="a red fox", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="fox/%width%x%height%", images=["8", 0]),
    }


def test_a_sampled_image_has_size_seed_and_prompt(simulator: SimulatorServer, render: Render) -> None:
    """The image has the requested size, text on a color derived from the seed, and contains the prompt."""
    (image,) = render(sampled())
    (same,) = render(sampled(steps=3))
    (other,) = render(sampled(seed=8))
    assert image.size == (128, 96)
    assert image.tobytes() == same.tobytes()
    assert image.getpixel((0, 0)) != other.getpixel((0, 0))
    assert len(image.getcolors(128 * 96) or []) > 2, "there is text on it"
    saved = view(simulator, filename="128x96_00001_.png", subfolder="fox", type="output")
    prompt = json.loads(Image.open(io.BytesIO(saved)).info["prompt"])
    assert prompt["6"]["inputs"]["text"] == "a red fox"


def test_a_batch_has_different_images(render: Render) -> None:
    """No two images of a batch are equal."""
    images = render(sampled(batch_size=3))
    assert len({image.tobytes() for image in images}) == 3


def test_an_odd_size_is_cut_to_whole_latent_pixels(render: Render) -> None:
    """A latent pixel is 8 x 8; the rest is cut off."""
    (image,) = render(sampled(width=72))
    assert image.size == (72, 96)


def test_upscaling_a_latent_enlarges_the_image(render: Render) -> None:
    """LatentUpscaleBy between sampler and decoder makes the image larger."""
    prompt = sampled()
    prompt["10"] = node("LatentUpscaleBy", samples=["3", 0], upscale_method="bilinear", scale_by=1.5)
    prompt["8"]["inputs"]["samples"] = ["10", 0]
    (image,) = render(prompt)
    assert image.size == (192, 144)


def test_an_encoded_image_survives_decoding(simulator: SimulatorServer, render: Render) -> None:
    """VAEEncode and VAEDecode without a sampler between them return the image."""
    upload(simulator, Image.new("RGB", (64, 48), (1, 2, 3)), "in.png")
    prompt = sampled()
    prompt["3"] = node("VAEEncode", pixels=["5", 0], vae=["4", 2])
    prompt["5"] = node("LoadImage", image="in.png")
    (image,) = render(prompt)
    assert (image.size, image.getpixel((9, 9))) == ((64, 48), (1, 2, 3))


def test_inverted_values_are_those_of_a_real_server(simulator: SimulatorServer, render: Render) -> None:
    """A real server's rounding makes 255 - value one lower for 159 of the 256 values (measured)."""
    ramp = Image.new("L", (256, 1))
    ramp.putdata(range(256))
    upload(simulator, ramp.convert("RGB"), "ramp.png")
    prompt = {
        "1": node("LoadImage", image="ramp.png"),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("PreviewImage", images=["2", 0]),
    }
    (image,) = render(prompt)
    deviations = [255 - value - image.convert("L").tobytes()[value] for value in range(256)]
    assert (sum(deviations), set(deviations)) == (159, {0, 1})
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((255, 0)) == (0, 0, 0)


def test_a_color_becomes_transparent(simulator: SimulatorServer, render: Render) -> None:
    """ImageColorToMask covers exactly one color, and JoinImageWithAlpha makes what is covered transparent."""
    image = Image.new("RGB", (4, 2), (255, 0, 255))
    image.paste((255, 0, 254), (0, 0, 2, 2))
    upload(simulator, image, "in.png")
    prompt = {
        "1": node("LoadImage", image="in.png"),
        "2": node("ImageColorToMask", image=["1", 0], color=0xFF00FF),
        "3": node("JoinImageWithAlpha", image=["1", 0], alpha=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix="cut"),
        "5": node("SplitImageWithAlpha", image=["3", 0]),
        "6": node("MaskPreview", mask=["5", 1]),
    }
    cut, mask = sorted(render(prompt), key=lambda result: result.mode, reverse=True)
    assert (cut.getpixel((0, 0)), cut.getpixel((3, 0))) == ((255, 0, 254, 255), (255, 0, 255, 0))
    assert (mask.getpixel((0, 0)), mask.getpixel((3, 0))) == ((0, 0, 0), (255, 255, 255))


def test_the_transparency_of_a_loaded_image_is_its_mask(simulator: SimulatorServer, render: Render) -> None:
    """LoadImage's mask covers what is transparent; without transparency it is an empty mask of 64 x 64."""
    upload(simulator, Image.new("RGBA", (4, 2), (9, 9, 9, 0)), "clear.png")
    upload(simulator, Image.new("RGB", (4, 2), (9, 9, 9)), "solid.png")
    masks = []
    for name in ("clear.png", "solid.png"):
        masks += render({"1": node("LoadImage", image=name), "2": node("MaskPreview", mask=["1", 1])})
    assert [(mask.size, mask.getpixel((0, 0))) for mask in masks] == [
        ((4, 2), (255, 255, 255)),
        ((64, 64), (0, 0, 0)),
    ]


MASK = {"1": node("SolidMask", value=1.0, width=5, height=5), "2": node("SolidMask", value=0.0, width=15, height=15)}
DOT = node("MaskComposite", destination=["2", 0], source=["1", 0], x=5, y=5, operation="add")


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        (node("GrowMask", mask=["3", 0], expand=2, tapered_corners=False), 81),
        (node("GrowMask", mask=["3", 0], expand=2, tapered_corners=True), 69),
        (node("GrowMask", mask=["3", 0], expand=-1, tapered_corners=False), 9),
        (node("InvertMask", mask=["3", 0]), 200),
        (node("ThresholdMask", mask=["3", 0], value=0.5), 25),
        (node("CropMask", mask=["3", 0], x=4, y=4, width=3, height=3), 4),
        (node("MaskComposite", destination=["3", 0], source=["3", 0], x=1, y=0, operation="xor"), 10),
        (node("MaskComposite", destination=["3", 0], source=["3", 0], x=1, y=0, operation="and"), 20),
        (node("MaskComposite", destination=["3", 0], source=["3", 0], x=1, y=0, operation="subtract"), 5),
    ],
)
def test_masks_cover_the_right_number_of_pixels(render: Render, change: dict[str, Any], covered: int) -> None:
    """Growing, shrinking, inverting and combining a square of 5 x 5 pixels."""
    (mask,) = render({**MASK, "3": DOT, "4": change, "5": node("MaskPreview", mask=["4", 0])})
    assert mask.convert("L").histogram()[255] == covered


def test_scaled_sizes(render: Render) -> None:
    """A side of 0 keeps the proportions; a factor rounds."""
    wide = node("EmptyImage", width=40, height=20, batch_size=1, color=0x102030)
    to_height = node("ImageScale", image=["1", 0], upscale_method="bilinear", width=0, height=10, crop="disabled")
    by_factor = node("ImageScaleBy", image=["1", 0], upscale_method="lanczos", scale_by=0.33)
    for change, size in ((to_height, (20, 10)), (by_factor, (13, 7))):
        (image,) = render({"1": wide, "2": change, "3": node("PreviewImage", images=["2", 0])})
        assert (image.size, image.getpixel((3, 3))) == (size, (0x10, 0x20, 0x30))


def test_a_blur_spreads_evenly(simulator: SimulatorServer, render: Render) -> None:
    """A kernel of radius 1 and sigma 1 gives the middle a fifth and the corners a thirteenth (measured)."""
    image = Image.new("RGB", (5, 5))
    image.putpixel((2, 2), (255, 255, 255))
    upload(simulator, image, "dot.png")
    blur = node("ImageBlur", image=["1", 0], blur_radius=1, sigma=1.0)
    preview = node("PreviewImage", images=["2", 0])
    (blurred,) = render({"1": node("LoadImage", image="dot.png"), "2": blur, "3": preview})
    assert [blurred.getchannel("R").getpixel(place) for place in ((2, 2), (2, 1), (1, 1), (0, 0))] == pytest.approx(
        [52, 32, 19, 0], abs=1
    )


def test_animations_hold_all_frames(render: Render) -> None:
    """A batch of different images becomes the frames of one WEBP."""
    prompt = sampled(batch_size=3)
    options = {"filename_prefix": "a", "fps": 6.0, "lossless": True, "quality": 80, "method": "default"}
    prompt["9"] = node("SaveAnimatedWEBP", images=["8", 0], **options)
    (animation,) = render(prompt)
    assert (animation.format, getattr(animation, "n_frames", 1)) == ("WEBP", 3)


def test_latents_are_stored_as_tensors(simulator: SimulatorServer, run: Callable[[Prompt], dict[str, Any]]) -> None:
    """The header of a saved latent contains its shape."""
    latent = node("EmptyLatentImage", width=64, height=32, batch_size=2)
    entry = run({"1": latent, "2": node("SaveLatent", samples=["1", 0], filename_prefix="l")})
    content = view(simulator, **entry["outputs"]["2"]["latents"][0])
    (length,) = struct.unpack("<Q", content[:8])
    assert json.loads(content[8 : 8 + length])["latent_tensor"]["shape"] == [2, 4, 4, 8]


def test_uploads_are_listed(simulator: SimulatorServer) -> None:
    """/object_info lists the files of the right type in the input directory."""
    upload(simulator, Image.new("RGB", (1, 1)), "in.png")
    upload(simulator, Image.new("RGB", (1, 1)), "in.wav")
    offered = [
        requests.get(f"{simulator.url}/object_info/{loader}", timeout=10).json()[loader]["input"]["required"][kind][0]
        for loader, kind in (("LoadImage", "image"), ("LoadAudio", "audio"))
    ]
    assert offered == [["in.png"], ["in.wav"]]
    assert "in.png" in requests.get(f"{simulator.url}/object_info", timeout=10).text
