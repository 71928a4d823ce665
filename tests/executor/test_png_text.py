"""PNG files lose every text on their way, and nothing else."""

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


def image_prompt(*, frames: int = 1, mode: str = "RGBA") -> bytes:
    """Save a picture with its prompt in every kind of chunk that there is for texts, and in some that are made up."""
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


def textless(content: bytes, size: int = 8192) -> bytes:
    """Read all of a file, so many bytes at a time."""
    reader = PngTextStripper(io.BytesIO(content), "output_00001.png")
    pieces = []
    while piece := reader.read(size):
        assert size < 0 or len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def passed_until_refused(content: bytes) -> bytes:
    """Read a file that is refused in the end; return what came of it before that."""
    reader = PngTextStripper(io.BytesIO(content), "output_00001.png")
    pieces = []

    def read_all() -> None:
        while piece := reader.read(5):
            pieces.append(piece)

    with pytest.raises(OutputUnusableError, match=r"output_00001\.png is a broken PNG"):
        read_all()
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 64 * 1024, -1])
@pytest.mark.parametrize("mode", ["RGBA", "L", "P"])
def test_texts_go_and_pixels_stay(mode: str, size: int) -> None:
    """However it is read, the picture is what it was, without a text in it."""
    before = image_prompt(mode=mode)
    after = textless(before, size)
    read = cast("PngImagePlugin.PngImageFile", Image.open(io.BytesIO(after)))
    assert read.tobytes() == Image.open(io.BytesIO(before)).tobytes()
    assert read.text == {}
    assert "exif" not in read.info
    assert read.info["dpi"] == pytest.approx((72, 72), abs=0.1)
    assert MARK.encode() not in after
    assert textless(after) == after


def test_an_animation_stays_one() -> None:
    """Its frames are there, what ComfyUI wrote between them is not."""
    before = image_prompt(frames=3)
    assert b"comf" in before
    after = textless(before)
    read = cast("PngImagePlugin.PngImageFile", Image.open(io.BytesIO(after)))
    assert read.n_frames == 3
    assert not [kind for kind in (b"comf", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"prIv", b"COMF") if kind in after]


def test_what_stands_behind_the_end_goes_too() -> None:
    """Whatever is put there shows in no picture."""
    content = image_prompt()
    assert textless(content + MARK.encode()) == textless(content)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"RIFF....WEBP", b"text " * 10_000, SIGNATURE[1:]])
def test_other_files_pass_as_they_are(content: bytes) -> None:
    """What is no PNG has no chunks to be taken out."""
    assert textless(content) == content


def test_a_broken_picture_fails_and_its_texts_come_through_nowhere() -> None:
    """Cut off anywhere behind the signature, it is refused; what was read until then has no text."""
    content = SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"tEXt", b"prompt\0" + MARK.encode()) + chunk(b"IEND", b"")
    assert MARK.encode() not in textless(content)
    for length in range(len(SIGNATURE), len(content)):
        assert b"prompt" not in passed_until_refused(content[:length])


@pytest.mark.parametrize("kind", [b"tEXt", b"IDAT", b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_an_endless_chunk_is_a_broken_picture(kind: bytes) -> None:
    """A length that the file does not have is believed by nobody."""
    content = SIGNATURE + chunk(b"IHDR", bytes(13)) + b"\xff\xff\xff\xff" + kind + MARK.encode()
    passed_until_refused(content)


class Endless:
    """A PNG with one chunk that is as large as they get, made while it is read."""

    def __init__(self, kind: bytes, length: int) -> None:
        self._parts = [SIGNATURE + struct.pack(">I", length) + kind, bytes(4) + chunk(b"IEND", b"")]
        self._left = length

    def read(self, size: int) -> bytes:
        """Read on: the start, the chunk, the end."""
        if len(self._parts) == 1 and self._left:
            size = min(size, self._left)
            self._left -= size
            return bytes(size)
        if not self._parts:
            return b""
        piece, self._parts[0] = self._parts[0][:size], self._parts[0][size:]
        if not self._parts[0]:
            self._parts.pop(0)
        return piece


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt"])
def test_memory_does_not_grow_with_a_file(kind: bytes) -> None:
    """Pixels and texts alike pass, or are passed over, in pieces."""
    reader = PngTextStripper(cast("BinaryIO", Endless(kind, 300_000_000)), "x")
    tracemalloc.start()
    try:
        while reader.read(1024 * 1024):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
