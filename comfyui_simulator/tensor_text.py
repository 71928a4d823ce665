"""Values as PyTorch prints them: what a real server puts into `current_inputs` and into text previews."""

from __future__ import annotations

from typing import TypeAlias

from PIL import Image

_EDGE_ITEMS = 3
_SUMMARY_THRESHOLD = 1000

_Nested: TypeAlias = "list[_Nested] | float | None"


def describe(value: object) -> object:
    """Return JSON values as they are, images and masks as tensor text, all else as its Python text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and value and isinstance(value[0], Image.Image):
        return tensor_text(value)
    return str(value)


def tensor_text(images: list[Image.Image]) -> str:
    """Return a batch of images as the text of its tensor: batch, height, width and (not for masks) channel."""
    width, height = images[0].size
    channels = len(images[0].getbands())
    shape = [len(images), height, width] + ([channels] if channels > 1 else [])
    size = len(images) * height * width * channels
    shown = [_shown(length, summarized=size > _SUMMARY_THRESHOLD) for length in shape]

    def pixel(image: Image.Image, x: int, y: int) -> _Nested:
        value = image.getpixel((x, y))
        if isinstance(value, tuple):
            return [band / 255 for band in value]
        return float(value or 0) / 255

    values: _Nested = [
        None
        if index is None
        else [
            None if y is None else [None if x is None else pixel(images[index], x, y) for x in shown[2]]
            for y in shown[1]
        ]
        for index in shown[0]
    ]
    whole_numbers = all(number in (0.0, 1.0) for number in _numbers(values))
    return f"tensor({_format(values, len(shape), len('tensor('), '{:.0f}.' if whole_numbers else '{:.4f}')})"


def _shown(length: int, *, summarized: bool) -> list[int | None]:
    """Return the indices that are printed, None standing for the dots between the edges."""
    if not summarized or length <= 2 * _EDGE_ITEMS:
        return list(range(length))
    return [*range(_EDGE_ITEMS), None, *range(length - _EDGE_ITEMS, length)]


def _numbers(values: _Nested) -> list[float]:
    if isinstance(values, list):
        return [number for value in values for number in _numbers(value)]
    return [] if values is None else [values]


def _format(values: _Nested, dimensions: int, indent: int, number_format: str) -> str:
    if values is None:
        return "..."
    if not isinstance(values, list):
        return number_format.format(values)
    separator = ", " if dimensions == 1 else "," + "\n" * (dimensions - 1) + " " * (indent + 1)
    return "[" + separator.join(_format(value, dimensions - 1, indent + 1, number_format) for value in values) + "]"
