"""What went wrong in an execution, in words its user can act on. Tracebacks and node inputs stay behind.

Of a private job even less is told: which node, what kind of error, and nothing that could repeat what the job was
given, as exceptions' messages do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from executor.wording import WITHHELD, node_name, sanitised
from gateway.errors import ComfyUINodeError, ComfyUIOutOfMemoryError, ComfyUIUnreachableError, JobFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OOM_TYPES = ("OutOfMemoryError", "MemoryError")
_OOM_WORDS = ("out of memory", "failed to allocate", "allocator backend")
_SIZE_INPUTS = ("width", "height", "batch_size")
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


def execution_failure(details: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> JobFailedError:
    """Turn the data of an `execution_error` message into the job's error."""
    message = sanitised(details.get("exception_message", ""))
    kind = str(details.get("exception_type", ""))
    where = node_name(str(details.get("node_id")), str(details.get("node_type")), prompt, private=private)
    lowered = message.lower()
    if kind.rsplit(".", 1)[-1] in _OOM_TYPES or any(words in lowered for words in _OOM_WORDS):
        return ComfyUIOutOfMemoryError(
            f"Out of memory at {where}.", f"Lower {_largest(prompt)}; the memory of the GPU does not suffice for them."
        )
    kind = kind if _TYPE_NAME.fullmatch(kind) else "an error"
    return ComfyUINodeError(f"{where[0].upper()}{where[1:]} failed with {kind}: {WITHHELD if private else message}")


def _largest(prompt: Mapping[str, Any]) -> str:
    """Name the size inputs of the prompt with their values."""
    found = {
        name: value
        for node in prompt.values()
        for name, value in node.get("inputs", {}).items()
        if name in _SIZE_INPUTS and isinstance(value, int | float)
    }
    named = [f"{name} ({found[name]:g})" for name in _SIZE_INPUTS if name in found]
    return ", ".join(named) or "the size of the images or the batch"


def interrupted_elsewhere() -> JobFailedError:
    """Tell that somebody else stopped the execution, which is no fault of the job's."""
    return ComfyUIUnreachableError("The execution was interrupted on ComfyUI by somebody else.")
