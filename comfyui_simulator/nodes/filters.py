"""Nodes that blend and blur images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops, ImageMath

from comfyui_simulator.nodes.images import resize_and_cut
from comfyui_simulator.nodes.node_run import NodeRun, Returned, node

if TYPE_CHECKING:
    from collections.abc import Callable

_MODES: dict[str, Callable[[Image.Image, Image.Image], Image.Image]] = {
    "normal": lambda _, second: second,
    "multiply": ImageChops.multiply,
    "screen": ImageChops.screen,
    "overlay": ImageChops.overlay,
    "soft_light": ImageChops.soft_light,
}


@node("ImageBlend")
def blend_images(run: NodeRun) -> Returned:
    """Blend two images in a mode such as multiply."""
    mode, factor = run.text("blend_mode"), run.number("blend_factor")
    first = run.images("image1")
    second = resize_and_cut(run.images("image2"), *first[0].size, "bicubic")
    return Returned(([_blended(image, second[i % len(second)], mode, factor) for i, image in enumerate(first)],))


@node("ImageBlur")
def blur_image(run: NodeRun) -> Returned:
    """Blur with a Gaussian kernel of 2 * blur_radius + 1 pixels, on which sigma 1 reaches from center to edge."""
    radius, sigma = run.integer("blur_radius"), run.number("sigma")
    weights = [math.exp(-((offset / radius) ** 2) / (2 * sigma**2)) for offset in range(-radius, radius + 1)]
    weights = [weight / sum(weights) for weight in weights]
    return Returned(([_blurred(image, weights) for image in run.images("image")],))


def _blended(first: Image.Image, second: Image.Image, mode: str, factor: float) -> Image.Image:
    if mode == "difference":
        # One-sided: where the second image is lighter, the result is black.
        return ImageChops.subtract(first, Image.blend(Image.new("RGB", second.size), second, factor))
    return Image.blend(first, _MODES[mode](first, second), factor)


def _blurred(image: Image.Image, weights: list[float]) -> Image.Image:
    bands = []
    for band in image.split():
        exact = _weighted_rows(band.convert("F"), weights)
        exact = _weighted_rows(exact.transpose(Image.Transpose.TRANSPOSE), weights)
        bands.append(_rounded(exact.transpose(Image.Transpose.TRANSPOSE)))
    return Image.merge(image.mode, bands)


def _weighted_rows(band: Image.Image, weights: list[float]) -> Image.Image:
    """Return the weighted sum of an image's neighbors in each row, mirrored at the edges."""
    radius = len(weights) // 2
    padded = Image.new("F", (band.width + 2 * radius, band.height))
    padded.paste(band, (radius, 0))
    for offset in range(1, radius + 1):
        padded.paste(band.crop((offset, 0, offset + 1, band.height)), (radius - offset, 0))
        last = band.width - 1 - offset
        padded.paste(band.crop((last, 0, last + 1, band.height)), (radius + band.width - 1 + offset, 0))
    total = Image.new("F", band.size)
    for position, weight in enumerate(weights):
        part = padded.crop((position, 0, position + band.width, band.height))
        total = ImageMath.lambda_eval(_add_weighted, total=total, part=part, weight=weight)
    return total


def _add_weighted(given: dict[str, Any]) -> Any:  # noqa: ANN401  what Pillow's expressions are made of
    return given["total"] + given["part"] * given["weight"]


def _rounded(band: Image.Image) -> Image.Image:
    return band.point(lambda value: value * 1 + 0.5).convert("L")
