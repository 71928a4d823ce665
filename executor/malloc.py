"""How this process keeps memory that it no longer needs: not at all."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_THRESHOLD_BYTES = 256 * 1024


def return_large_buffers() -> None:
    """Have the C library give a file's buffers back to the system as soon as they are freed.

    By itself it raises the size from which on it does so to that of every such buffer it sees, and keeps them then, for
    each thread apart: an executor that had stored files of 20 MiB stayed at 170 MB instead of 77. Nothing is done where
    the library is not glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
