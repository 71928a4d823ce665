"""Drawing and encoding of the simulator's pictures."""

import hashlib
import io
import json
import textwrap

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from cli.comfyui_simulator.types import JsonObject

_MARGIN = 2
_PREVIEW_SIDE = 32


def placeholder(lines: list[str], key: str, size: tuple[int, int]) -> Image.Image:
    """Draw a generated picture's stand-in: lines of text on a plain colour that follows from `key`."""
    background = colour_of(key)
    picture = Image.new("RGB", size, background)
    width, height = size
    font_size = max(6, min(width // 24, height // 12))
    font = ImageFont.load_default(font_size)
    columns = max(4, int((width - 2 * _MARGIN) / (font_size * 0.6)))
    text = "\n".join(textwrap.fill(line, columns) for line in lines)
    ink = "black" if sum(background) > 3 * 128 else "white"
    ImageDraw.Draw(picture).multiline_text((_MARGIN, _MARGIN), text, fill=ink, font=font)
    return picture


def colour_of(key: str) -> tuple[int, int, int]:
    """Return a colour that is always the same for the same key."""
    red, green, blue = hashlib.blake2b(key.encode(), digest_size=3).digest()
    return red, green, blue


def preview(key: str, value: int, maximum: int) -> bytes:
    """Draw a step's preview as a tiny JPEG: the final colour fades in."""
    red, green, blue = (band * value // maximum for band in colour_of(key))
    buffer = io.BytesIO()
    Image.new("RGB", (_PREVIEW_SIDE, _PREVIEW_SIDE), (red, green, blue)).save(buffer, "JPEG")
    return buffer.getvalue()


def png_bytes(picture: Image.Image) -> bytes:
    """Encode a picture as PNG without metadata."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def png_metadata(prompt: JsonObject, extra_pnginfo: JsonObject) -> PngInfo:
    """Return the text chunks of saved pictures: the prompt and each entry of `extra_pnginfo`, as JSON."""
    metadata = PngInfo()
    metadata.add_text("prompt", json.dumps(prompt))
    for name, value in extra_pnginfo.items():
        metadata.add_text(name, json.dumps(value))
    return metadata


def as_rgb_or_rgba(picture: Image.Image) -> Image.Image:
    """Return a loaded picture in one of the two modes that images have here, turned upright."""
    return picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")
