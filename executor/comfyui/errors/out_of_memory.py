"""Memory that did not suffice: how PyTorch, ComfyUI and others say so, and whether it can suffice another time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = (
    "out of memory",
    "outofmemory",
    "not enough memory",
    "failed to allocate",
    "unable to allocate",
    "can't allocate memory",
    "cannot allocate memory",
    "allocator backend",
    "exceed allowed memory",
    "_alloc_failed",  # of cuBLAS, cuDNN and the like
)
_MAX_LOOKED_AT = 10_000  # characters
_AMOUNT = r"\s*:?\s*(\d{1,12}(?:\.\d{1,9})?)\s*([KMGT]?)i?B"
# PyTorch: "Tried to allocate 96.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which …"; with other allocators
# "Requested : 96.00 GiB Device limit : 23.65 GiB".
_WANTED = re.compile(rf"(?:tried to allocate|requested){_AMOUNT}", re.IGNORECASE)
_THERE = re.compile(rf"(?:total capacity of|device limit){_AMOUNT}", re.IGNORECASE)
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "K", "M", "G", "T"))}


def is_out_of_memory(details: Mapping[str, Any]) -> bool:
    """Tell whether the data of an `execution_error` message says that memory did not suffice."""
    kind = str(details.get("exception_type", "")).rsplit(".", 1)[-1]
    message = _message(details).lower()
    return kind.endswith(("OutOfMemoryError", "MemoryError")) or any(words in message for words in _WORDS)


def may_fit(details: Mapping[str, Any]) -> bool:
    """Tell whether it may suffice once all is freed: unless more was wanted at a time than there is at all."""
    wanted, there = (_bytes(pattern.search(_message(details))) for pattern in (_WANTED, _THERE))
    return wanted is None or there is None or wanted <= there


def _message(details: Mapping[str, Any]) -> str:
    return str(details.get("exception_message", ""))[:_MAX_LOOKED_AT]


def _bytes(found: re.Match[str] | None) -> float | None:
    return None if found is None else float(found[1]) * _UNITS[found[2].upper()]
