"""Text chunks are stripped from PNG files, and nothing else."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING, cast

import pytest
from PIL import Image, PngImagePlugin

from executor.job.png_text import PngTextStripper
from gateway.errors import OutputUnusableError

if TYPE_CHECKING:
    from typing import BinaryIO

MARK = "a secret fox"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """Write a chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(*, frames: int = 1, mode: str = "RGBA") -> bytes:
    """Save an image with its prompt in every type of text chunk, and in some invented ones."""
    images = [Image.effect_noise((40, 30), 50 + number).convert(mode) for number in range(frames)]
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", MARK)
    texts.add_text("zipped", MARK, zip=True)
    texts.add_itxt("workflow", MARK, "en", MARK)
    texts.add(b"comf", MARK.encode(), after_idat=True)
    texts.add(b"prIv", MARK.encode())
    texts.add(b"COMF", MARK.encode())
    exif = Image.Exif()
    exif[0x0110] = MARK
    stream = io.BytesIO()
    images[0].save(
        stream,
        "PNG",
        pnginfo=texts,
        exif=exif,
        dpi=(72, 72),
        save_all=frames > 1,
        append_images=images[1:],
        duration=100,
    )
    return stream.getvalue()


def stripped(content: bytes, size: int = 8192) -> bytes:
    """Read a whole file, `size` bytes at a time."""
    reader = PngTextStripper(io.BytesIO(content), "output_00001.png")
    pieces = []
    while piece := reader.read(size):
        assert size < 0 or len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def read_until_rejected(content: bytes) -> bytes:
    """Read a file that is rejected; return what was read before."""
    reader = PngTextStripper(io.BytesIO(content), "output_00001.png")
    pieces = []

    def read_all() -> None:
        while piece := reader.read(5):
            pieces.append(piece)

    with pytest.raises(OutputUnusableError, match=r"output_00001\.png"):
        read_all()
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 64 * 1024, -1])
@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_text_is_stripped_and_pixels_are_kept(mode: str, size: int) -> None:
    """Whatever the read size, the image is the same, without texts."""
    before = png(mode=mode)
    after = stripped(before, size)
    read = cast("PngImagePlugin.PngImageFile", Image.open(io.BytesIO(after)))
    assert read.tobytes() == Image.open(io.BytesIO(before)).tobytes()
    assert read.text == {}
    assert "exif" not in read.info
    assert read.info["dpi"] == pytest.approx((72, 72), abs=0.1)
    assert MARK.encode() not in after
    assert stripped(after) == after


def test_an_animation_keeps_its_frames() -> None:
    """Chunks that ComfyUI wrote between them are stripped."""
    before = png(frames=3)
    assert b"comf" in before
    after = stripped(before)
    read = cast("PngImagePlugin.PngImageFile", Image.open(io.BytesIO(after)))
    assert read.n_frames == 3
    assert not [kind for kind in (b"comf", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"prIv", b"COMF") if kind in after]


def test_data_after_the_last_chunk_is_stripped() -> None:
    """It is not part of the image."""
    content = png()
    assert stripped(content + MARK.encode()) == stripped(content)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"RIFF....WEBP", b"text " * 10_000, SIGNATURE[1:]])
def test_other_files_are_not_changed(content: bytes) -> None:
    """A file that is not a PNG has no chunks."""
    assert stripped(content) == content


def test_a_broken_png_is_rejected_without_leaking_text() -> None:
    """Truncated anywhere after the signature, it is rejected; what was read before contains no text."""
    content = SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"tEXt", b"prompt\0" + MARK.encode()) + chunk(b"IEND", b"")
    assert MARK.encode() not in stripped(content)
    for length in range(len(SIGNATURE), len(content)):
        assert b"prompt" not in read_until_rejected(content[:length])


@pytest.mark.parametrize("kind", [b"tEXt", b"IDAT", b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_an_endless_chunk_is_a_broken_png(kind: bytes) -> None:
    """Its length is wrong."""
    content = SIGNATURE + chunk(b"IHDR", bytes(13)) + b"\xff\xff\xff\xff" + kind + MARK.encode()
    read_until_rejected(content)


class HugePng:
    """A PNG with one very large chunk, generated while it is read."""

    def __init__(self, kind: bytes, length: int) -> None:
        self._parts = [SIGNATURE + struct.pack(">I", length) + kind, bytes(4) + chunk(b"IEND", b"")]
        self._remaining = length

    def read(self, size: int) -> bytes:
        """Read the start, the chunk, the end."""
        if len(self._parts) == 1 and self._remaining:
            size = min(size, self._remaining)
            self._remaining -= size
            return bytes(size)
        if not self._parts:
            return b""
        piece, self._parts[0] = self._parts[0][:size], self._parts[0][size:]
        if not self._parts[0]:
            self._parts.pop(0)
        return piece


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt"])
def test_memory_use_does_not_depend_on_the_file_size(kind: bytes) -> None:
    """Kept and stripped chunks are read in pieces."""
    reader = PngTextStripper(cast("BinaryIO", HugePng(kind, 300_000_000)), "x")
    tracemalloc.start()
    try:
        while reader.read(1024 * 1024):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
