"""Draw, convert and encode the images of the simulator."""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
import textwrap
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT_SHARE = 0.8
_PREVIEW_SIDE = 32
_EXIF_MAKE, _EXIF_MODEL = 0x010F, 0x0110


def _single(value: float) -> float:
    """Round to single precision."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


_INVERTED = [int(_single(255 * _single(1 - _single(value / 255)))) for value in range(256)]


def placeholder(lines: list[str], key: str, size: tuple[int, int]) -> Image.Image:
    """Draw a placeholder for a generated image: lines of text on a plain color derived from `key`."""
    background = color_of(key)
    image = Image.new("RGB", size, background)
    width, height = size
    font_size = max(6, min(width // 20, height // 10))
    font = ImageFont.load_default(font_size)
    # The text stays clear of the edges, where workflows that cut out a subject detect the background.
    columns = max(4, int(width * _TEXT_SHARE / (font_size * 0.6)))
    text = "\n".join(textwrap.fill(line, columns) for line in lines)
    ink = "black" if sum(background) > 3 * 128 else "white"
    middle = (width / 2, height / 2)
    ImageDraw.Draw(image).multiline_text(middle, text, fill=ink, font=font, anchor="mm", align="center")
    return image


def color_of(key: str) -> tuple[int, int, int]:
    """Return a color, always the same for the same key."""
    red, green, blue = hashlib.blake2b(key.encode(), digest_size=3).digest()
    return red, green, blue


def inverted(image: Image.Image) -> Image.Image:
    """Invert all channels, to the same whole numbers as a real server.

    That one computes with fractions of 1 in single precision and cuts off when it saves, so that 255 - value comes out
    one lower for most values.
    """
    return image.point(_INVERTED * len(image.getbands()))


def preview(key: str, value: int, maximum: int) -> bytes:
    """Draw a step's preview as a tiny JPEG: the final color fades in."""
    red, green, blue = (band * value // maximum for band in color_of(key))
    buffer = io.BytesIO()
    Image.new("RGB", (_PREVIEW_SIDE, _PREVIEW_SIDE), (red, green, blue)).save(buffer, "JPEG")
    return buffer.getvalue()


def png_bytes(image: Image.Image) -> bytes:
    """Encode an image as PNG without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def png_texts(metadata: Mapping[str, str]) -> PngInfo:
    """Return the PNG text chunks that contain the metadata of a saved image."""
    chunks = PngInfo()
    for name, value in metadata.items():
        chunks.add_text(name, value)
    return chunks


def animated_png_texts(metadata: Mapping[str, str]) -> PngInfo:
    """Return the metadata of animated PNGs: chunks of ComfyUI's own type, after the first frame (nodes_images.py)."""
    chunks = PngInfo()
    for name, value in metadata.items():
        chunks.add(b"comf", name.encode("latin-1") + b"\0" + value.encode("latin-1"), after_idat=True)
    return chunks


def webp_texts(metadata: Mapping[str, str]) -> Image.Exif:
    """Return the metadata of a WEBP: as EXIF's name of the camera, and the tags below it (nodes_images.py)."""
    exif = Image.Exif()
    tags = itertools.chain([_EXIF_MODEL], range(_EXIF_MAKE, 0, -1))
    for tag, (name, value) in zip(tags, metadata.items(), strict=False):
        exif[tag] = f"{name}:{value}"
    return exif


def as_rgb_or_rgba(image: Image.Image) -> Image.Image:
    """Return a loaded image in one of the two modes that images have here, turned upright."""
    return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")
