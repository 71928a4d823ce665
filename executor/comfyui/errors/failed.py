"""What went wrong in an execution, in words its user can act on. Tracebacks and node inputs stay behind.

Of a private job even less is told: which node, what kind of error, and nothing that could repeat what the job was
given, as exceptions' messages do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.advice import memory_inputs
from executor.comfyui.errors.out_of_memory import is_out_of_memory
from executor.comfyui.errors.sanitize import WITHHELD, node_name, sanitised
from gateway.errors import ComfyUINodeError, ComfyUIOutOfMemoryError, ComfyUIUnreachableError, JobFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


def execution_failure(
    details: Mapping[str, Any], prompt: Mapping[str, Any], inputs: Mapping[str, Any] | None, *, freed: bool
) -> JobFailedError:
    """Turn the data of an `execution_error` message into the job's error.

    `inputs`: the job's own; None when they are private. `freed`: ComfyUI had freed its memory just before.
    """
    where = failed_node(details, prompt, private=inputs is None)
    if is_out_of_memory(details):
        return ComfyUIOutOfMemoryError(
            f"Out of memory at {where}{', also after ComfyUI had freed its memory' if freed else ''}.",
            f"Lower {memory_inputs(inputs, prompt)}; or use a smaller model, or a GPU with more memory.",
        )
    kind = str(details.get("exception_type", ""))
    kind = kind if _TYPE_NAME.fullmatch(kind) else "an error"
    message = WITHHELD if inputs is None else sanitised(details.get("exception_message", ""))
    return ComfyUINodeError(f"{where[0].upper()}{where[1:]} failed with {kind}: {message}")


def failed_node(details: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> str:
    """Name the node that an `execution_error` message is about."""
    return node_name(str(details.get("node_id")), str(details.get("node_type")), prompt, private=private)


def interrupted_elsewhere() -> JobFailedError:
    """Tell that somebody else stopped the execution, which is no fault of the job's."""
    return ComfyUIUnreachableError("The execution was interrupted on ComfyUI by somebody else.")
