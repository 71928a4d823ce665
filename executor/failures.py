"""What went wrong on ComfyUI, in words its user can act on. Tracebacks and node inputs stay behind.

Of a private job even less is told: which node and which input, what kind of error, and nothing that could repeat what
the job was given, as exceptions' messages and ComfyUI's details do.
"""

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
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
WITHHELD = "Privacy mode withholds the rest."
# What ComfyUI says of each kind (its execution.py), but for the values that it puts in.
_REFUSALS = {
    "bad_linked_input": "Bad linked input",
    "custom_validation_failed": "Custom validation failed for node",
    "exception_during_inner_validation": "Exception when validating inner node",
    "exception_during_validation": "Exception when validating node",
    "invalid_input_type": "Failed to convert an input value to the type of the input",
    "invalid_prompt": "Cannot execute because a node has no class, or one that does not exist",
    "no_prompt": "No prompt provided",
    "prompt_no_outputs": "Prompt has no outputs",
    "prompt_outputs_failed_validation": "Prompt outputs failed validation",
    "required_input_missing": "Required input is missing",
    "return_type_mismatch": "Return type mismatch between linked nodes",
    "value_bigger_than_max": "Value bigger than max",
    "value_not_in_list": "Value not in list",
    "value_smaller_than_min": "Value smaller than min",
}


def sanitised(message: object) -> str:
    """Cut paths out of a message, and what is too long off."""
    text = _PATH.sub("…", str(message)).strip()
    return text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


def execution_failure(details: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> JobFailedError:
    """Turn the data of an `execution_error` message into the job's error."""
    node_id, node_type = str(details.get("node_id")), str(details.get("node_type"))
    message = sanitised(details.get("exception_message", ""))
    kind = str(details.get("exception_type", ""))
    where = _known_node(node_id, prompt) if private else f"node {node_id} ({node_type})"
    lowered = message.lower()
    if kind.rsplit(".", 1)[-1] in _OOM_TYPES or any(words in lowered for words in _OOM_WORDS):
        return ComfyUIOutOfMemoryError(
            f"Out of memory at {where}.", f"Lower {_largest(prompt)}; the memory of the GPU does not suffice for them."
        )
    if private:
        kind, message = kind if _TYPE_NAME.fullmatch(kind) else "", WITHHELD
    return ComfyUINodeError(f"{where[0].upper()}{where[1:]} failed with {kind or 'an error'}: {message}")


def _known_node(node_id: str, prompt: Mapping[str, Any]) -> str:
    """Name a node by what the graph says of it. A node that others made while they ran has a dotted id of theirs."""
    known = node_id if node_id in prompt else node_id.split(".", maxsplit=1)[0]
    return f"node {known} ({prompt[known].get('class_type')})" if known in prompt else "an inner node"


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


def rejection(answer: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> JobFailedError:
    """Turn a refusal of POST /prompt, or a partial acceptance, into the job's error."""
    sentences = list(_node_sentences(answer, prompt, private=private))
    if not sentences:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        sentences = [
            _refusal(error)
            if private
            else sanitised(f"{error.get('message', 'no reason given')} {error.get('details', '')}")
        ]
    shown = "; ".join(sentences[:_MAX_SENTENCES])
    more = f" (and {len(sentences) - _MAX_SENTENCES} more)" if len(sentences) > _MAX_SENTENCES else ""
    return ComfyUIRejectedError(f"ComfyUI refused the graph: {shown}{more}{f'. {WITHHELD}' if private else ''}")


def _refusal(error: Mapping[str, Any]) -> str:
    """Say what kind of error it is, and at which input: that name is the node's, not the caller's."""
    reason = _REFUSALS.get(str(error.get("type")), "refused")
    extra = error.get("extra_info")
    name = extra.get("input_name") if isinstance(extra, dict) else None
    return f"{reason} ({name})" if isinstance(name, str) else reason


def _node_sentences(answer: Mapping[str, Any], prompt: Mapping[str, Any], *, private: bool) -> Iterator[str]:
    node_errors = answer.get("node_errors")
    for node_id, node in node_errors.items() if isinstance(node_errors, dict) else ():
        title = prompt.get(node_id, {}).get("class_type", node.get("class_type"))
        for error in node.get("errors", ()):
            reason = (
                _refusal(error) if private else sanitised(f"{error.get('message', '')}: {error.get('details', '')}")
            )
            yield f"node {node_id} ({title}): {reason}"


def interrupted_elsewhere() -> JobFailedError:
    """Tell that somebody else stopped the execution, which is no fault of the job's."""
    return ComfyUIUnreachableError("The execution was interrupted on ComfyUI by somebody else.")
