"""Types of the data that the parts of the simulator exchange."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeGuard

# JSON from clients is anything at all until it is validated, so its values cannot be typed more tightly.
JsonObject: TypeAlias = dict[str, Any]

# A prompt in API format: node id to {"class_type", "inputs"}.
Prompt: TypeAlias = dict[str, JsonObject]

# number, prompt id, prompt, extra data, ids of the output nodes to execute: the order in which /queue lists them.
QueueItem: TypeAlias = tuple[float, str, Prompt, JsonObject, list[str]]

# How a node class declares an input: its type, which may be a list of choices, and its options.
InputConfig: TypeAlias = tuple[str | list[Any], JsonObject]


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Return whether a validated input is a link: [node id, output slot]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)  # noqa: PLR2004  a link is a pair
