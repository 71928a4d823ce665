"""Turn a failed execution into a job error that its owner can act on.

Tracebacks and node inputs are left out. For a private job the exception's message is left out as well, as it can
repeat what the job was given: the error then has the node and the type of exception only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.advice import inputs_to_reduce
from executor.comfyui.errors.sanitize import WITHHELD, node_name, sanitize
from gateway.errors import ComfyUINodeError, ComfyUIOutOfMemoryError, ComfyUIUnreachableError, JobFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
# How PyTorch, ComfyUI and other libraries report that they are out of memory.
_OUT_OF_MEMORY_PHRASES = (
    "out of memory",
    "outofmemory",
    "not enough memory",
    "failed to allocate",
    "unable to allocate",
    "can't allocate memory",
    "cannot allocate memory",
    "allocator backend",
    "exceed allowed memory",
    "_alloc_failed",  # cuBLAS, cuDNN and others
)
_MAX_SEARCHED_CHARACTERS = 10_000
_AMOUNT = r"\s*:?\s*(\d{1,12}(?:\.\d{1,9})?)\s*([KMGT]?)i?B"
# PyTorch: "Tried to allocate 96.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which …"; with other allocators
# "Requested : 96.00 GiB Device limit : 23.65 GiB".
_REQUESTED = re.compile(rf"(?:tried to allocate|requested){_AMOUNT}", re.IGNORECASE)
_CAPACITY = re.compile(rf"(?:total capacity of|device limit){_AMOUNT}", re.IGNORECASE)
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "K", "M", "G", "T"))}


def execution_failure(
    details: Mapping[str, Any], prompt: Mapping[str, Any], inputs: Mapping[str, Any] | None, *, freed: bool
) -> JobFailedError:
    """Turn the data of an `execution_error` message into the job's error.

    `inputs`: the job's own inputs; None when they are private. `freed`: whether ComfyUI's memory was freed just before.
    """
    where = failed_node(details, prompt, private=inputs is None)
    if is_out_of_memory(details):
        return ComfyUIOutOfMemoryError(
            f"Out of memory at {where}{', also after freeing ComfyUI memory' if freed else ''}.",
            f"Reduce {inputs_to_reduce(inputs, prompt, for_memory=True)}; or use a smaller model, or a GPU with more"
            " memory.",
        )
    kind = str(details.get("exception_type", ""))
    kind = kind if _TYPE_NAME.fullmatch(kind) else "an error"
    message = WITHHELD if inputs is None else sanitize(details.get("exception_message", ""))
    return ComfyUINodeError(f"{where[0].upper()}{where[1:]} failed with {kind}: {message}")


def failed_node(details: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> str:
    """Name the node that an `execution_error` message is about."""
    return node_name(str(details.get("node_id")), str(details.get("node_type")), prompt, private=private)


def interrupted_by_others() -> JobFailedError:
    """Return the error of an execution that someone else interrupted. It is retryable: not the job's fault."""
    return ComfyUIUnreachableError("The execution was interrupted on ComfyUI by someone else.")


def is_out_of_memory(details: Mapping[str, Any]) -> bool:
    """Return whether the data of an `execution_error` message reports that memory ran out."""
    kind = str(details.get("exception_type", "")).rsplit(".", 1)[-1]
    message = _message(details).lower()
    return kind.endswith(("OutOfMemoryError", "MemoryError")) or any(
        phrase in message for phrase in _OUT_OF_MEMORY_PHRASES
    )


def may_fit_after_freeing(details: Mapping[str, Any]) -> bool:
    """Return whether freeing memory may help: not when one allocation exceeds the total capacity of the device."""
    requested, capacity = (_bytes(pattern.search(_message(details))) for pattern in (_REQUESTED, _CAPACITY))
    return requested is None or capacity is None or requested <= capacity


def _message(details: Mapping[str, Any]) -> str:
    return str(details.get("exception_message", ""))[:_MAX_SEARCHED_CHARACTERS]


def _bytes(match: re.Match[str] | None) -> float | None:
    return None if match is None else float(match[1]) * _UNITS[match[2].upper()]
