"""PNG files without what is written in them: ComfyUI puts the prompt there.

A PNG is a signature and then chunks, each of a length, a type, that many bytes and a checksum (W3C PNG, third
edition, section 5). Texts are in chunks of their own: tEXt, zTXt, iTXt, in eXIf, and for animations in one that
ComfyUI made up (comf). So what passes is what pixels need and nothing else, and nothing behind the end.
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
_PIECE_BYTES = 64 * 1024
_END = b"IEND"
# Sizes, colours, pixels and frames. A palette's name and a time are of no use to whoever looks at the picture.
_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND acTL fcTL fdAT tRNS bKGD hIST pHYs sBIT gAMA cHRM sRGB iCCP cICP mDCV cLLI".split()
)


class TextlessReader:
    """Reads a file; of a PNG, whatever its name, only what `_KEPT` lists. Memory does not grow with the file.

    `shown`: what the file is called in the OutputUnusableError that a PNG with broken chunks raises: nobody can tell
    what of it is text.
    """

    def __init__(self, stream: BinaryIO, shown: str) -> None:
        self._stream = stream
        self._shown = shown
        self._pieces = self._passing()
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Read on, at most `size` bytes unless that is negative; nothing at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        cut = len(self._left) if size < 0 else size
        taken, self._left = self._left[:cut], self._left[cut:]
        return taken

    def _passing(self) -> Iterator[bytes]:
        start = b"".join(self._exactly(len(_SIGNATURE)))
        yield start
        if start != _SIGNATURE:
            while piece := self._stream.read(_PIECE_BYTES):
                yield piece
            return
        kind = b""
        while kind != _END:
            header = b"".join(self._exactly(_HEADER.size))
            if len(header) < _HEADER.size:
                raise self._broken()
            length, kind = _HEADER.unpack(header)
            if kind in _KEPT:
                yield header
            left = length + _CHECKSUM_BYTES
            for piece in self._exactly(left):
                left -= len(piece)
                if kind in _KEPT:
                    yield piece
            if left:
                raise self._broken()

    def _exactly(self, size: int) -> Iterator[bytes]:
        """Read so many bytes in pieces; fewer only at the file's end."""
        while size and (piece := self._stream.read(min(size, _PIECE_BYTES))):
            size -= len(piece)
            yield piece

    def _broken(self) -> OutputUnusableError:
        return OutputUnusableError(
            f"The output {self._shown} is a broken PNG. Privacy mode stores none that it cannot take the texts out of."
        )
