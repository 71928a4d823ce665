"""Return freed buffers to the operating system: lower glibc's mmap threshold."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_THRESHOLD_BYTES = 256 * 1024


def return_large_buffers() -> None:
    """Make the C library return a file's buffers to the system as soon as they are freed.

    By default glibc raises the threshold to the size of every such buffer that is freed, and then keeps them, for each
    thread separately: an executor that had stored files of 20 MiB stayed at 170 MB instead of 77. Does nothing where
    the C library is not glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
