"""Strip text chunks from PNG files; ComfyUI stores the prompt in them.

A PNG is a signature followed by chunks, each with a length, a type, the data and a checksum (W3C PNG, third edition,
section 5). Text is in chunks of its own: tEXt, zTXt, iTXt, eXIf, and for animations comf, which is ComfyUI's own.
Only chunks that pixels need are kept, and nothing after the last chunk.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gateway.errors import OutputUnusableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4s")
_CHECKSUM_BYTES = 4
_READ_BYTES = 64 * 1024
_LAST_CHUNK = b"IEND"
# Sizes, colors, pixels and frames. A palette's name (sPLT) and a time (tIME) do not change the image.
_KEPT_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND acTL fcTL fdAT tRNS bKGD hIST pHYs sBIT gAMA cHRM sRGB iCCP cICP mDCV cLLI".split()
)


class PngTextStripper:
    """Reads a file; of a PNG, whatever its name, only the chunks in `_KEPT_CHUNKS`. Memory use is constant.

    A PNG with broken chunks raises OutputUnusableError, as its texts cannot be found. `display_name`: the file's name
    in that error.
    """

    def __init__(self, stream: BinaryIO, display_name: str) -> None:
        self._stream = stream
        self._display_name = display_name
        self._pieces = self._stripped()
        self._buffer = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size` unless it is negative; empty at the end."""
        while not self._buffer:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._buffer = piece
        end = len(self._buffer) if size < 0 else size
        result, self._buffer = self._buffer[:end], self._buffer[end:]
        return result

    def _stripped(self) -> Iterator[bytes]:
        start = b"".join(self._read_pieces(len(_SIGNATURE)))
        yield start
        if start != _SIGNATURE:
            while piece := self._stream.read(_READ_BYTES):
                yield piece
            return
        kind = b""
        while kind != _LAST_CHUNK:
            header = b"".join(self._read_pieces(_HEADER.size))
            if len(header) < _HEADER.size:
                raise self._broken()
            length, kind = _HEADER.unpack(header)
            if kind in _KEPT_CHUNKS:
                yield header
            remaining = length + _CHECKSUM_BYTES
            for piece in self._read_pieces(remaining):
                remaining -= len(piece)
                if kind in _KEPT_CHUNKS:
                    yield piece
            if remaining:
                raise self._broken()

    def _read_pieces(self, size: int) -> Iterator[bytes]:
        """Read this many bytes in pieces; fewer only at the end of the file."""
        while size and (piece := self._stream.read(min(size, _READ_BYTES))):
            size -= len(piece)
            yield piece

    def _broken(self) -> OutputUnusableError:
        return OutputUnusableError(
            f"The output {self._display_name} is a broken PNG. In privacy mode it is not stored, because its text"
            " chunks cannot be removed."
        )
