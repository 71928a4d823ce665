"""What went wrong on ComfyUI, in words its user can act on. Tracebacks and node inputs stay behind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gateway.errors import (
    ComfyUINodeError,
    ComfyUIOutOfMemoryError,
    ComfyUIRejectedError,
    ComfyUIUnreachableError,
    JobFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_MESSAGE_CHARACTERS = 500
_MAX_SENTENCES = 10
# Anything that looks like a path with at least two parts, on either kind of system.
_PATH = re.compile(r"(?:[A-Za-z]:\\|(?<![\w.])/)(?:[^\s'\"/\\:]+[/\\])+[^\s'\"/\\:]*")
_OOM_TYPES = ("OutOfMemoryError", "MemoryError")
_OOM_WORDS = ("out of memory", "failed to allocate", "allocator backend")
_SIZE_INPUTS = ("width", "height", "batch_size")


def sanitised(message: object) -> str:
    """Cut paths out of a message, and what is too long off."""
    text = _PATH.sub("…", str(message)).strip()
    return text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


def execution_failure(details: Mapping[str, Any], prompt: Mapping[str, Any]) -> JobFailedError:
    """Turn the data of an `execution_error` message into the job's error."""
    node_id, node_type = str(details.get("node_id")), str(details.get("node_type"))
    message = sanitised(details.get("exception_message", ""))
    kind = str(details.get("exception_type", ""))
    where = f"node {node_id} ({node_type})"
    lowered = message.lower()
    if kind.rsplit(".", 1)[-1] in _OOM_TYPES or any(words in lowered for words in _OOM_WORDS):
        return ComfyUIOutOfMemoryError(
            f"Out of memory at {where}.", f"Lower {_largest(prompt)}; the memory of the GPU does not suffice for them."
        )
    return ComfyUINodeError(f"{where[0].upper()}{where[1:]} failed with {kind or 'an error'}: {message}")


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


def rejection(answer: Mapping[str, Any], prompt: Mapping[str, Any]) -> JobFailedError:
    """Turn a refusal of POST /prompt, or a partial acceptance, into the job's error."""
    sentences = list(_node_sentences(answer, prompt))
    if not sentences:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        sentences = [sanitised(f"{error.get('message', 'no reason given')} {error.get('details', '')}")]
    shown = "; ".join(sentences[:_MAX_SENTENCES])
    more = f" (and {len(sentences) - _MAX_SENTENCES} more)" if len(sentences) > _MAX_SENTENCES else ""
    return ComfyUIRejectedError(f"ComfyUI refused the graph: {shown}{more}")


def _node_sentences(answer: Mapping[str, Any], prompt: Mapping[str, Any]) -> Iterator[str]:
    node_errors = answer.get("node_errors")
    for node_id, node in node_errors.items() if isinstance(node_errors, dict) else ():
        title = prompt.get(node_id, {}).get("class_type", node.get("class_type"))
        for error in node.get("errors", ()):
            reason = f"{error.get('message', '')}: {error.get('details', '')}"
            yield f"node {node_id} ({title}): {sanitised(reason)}"


def interrupted_elsewhere() -> JobFailedError:
    """Tell that somebody else stopped the execution, which is no fault of the job's."""
    return ComfyUIUnreachableError("The execution was interrupted on ComfyUI by somebody else.")
