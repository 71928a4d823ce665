"""Templates: prompts with `{{name}}` tokens. Checks them at registration, and renders them.

Rendering walks the parsed graph and replaces strings by values. So an input becomes a string, a number, a boolean or
null somewhere under a node's `inputs`, and nothing else: it can add no node, key, link or further token, whatever
characters it contains.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeGuard

from gateway.errors import Problem
from gateway.limits import (
    MAX_GRAPH_DEPTH,
    MAX_GRAPH_KEY_CHARACTERS,
    MAX_GRAPH_NODES,
    MAX_GRAPH_TOKENS,
    MAX_GRAPH_VALUES,
    MAX_NUMBER_BITS,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_SHOWN_CHARACTERS = 80  # of an invalid text
_BRACES = re.compile(r"\{\{([^{}]*)\}\}")
_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*")

Scalar = str | int | float | bool | None
_SCALAR_TYPES = (str, int, float, bool, type(None))


def is_scalar(value: object) -> bool:
    """Return whether a value can replace a token. A list could be taken for a link to another node."""
    return isinstance(value, _SCALAR_TYPES)


def is_json_number(value: object) -> bool:
    """Return whether a value is no number, or a number that JSON can represent."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or value.bit_length() <= MAX_NUMBER_BITS


def graph_problems(graph: Mapping[str, Any]) -> list[Problem]:
    """Return all reasons why this is not a graph in API format with valid tokens."""
    if isinstance(graph.get("nodes"), list) and isinstance(graph.get("links"), list):
        return [
            Problem(
                "workflowJson",
                "This is ComfyUI's UI format (nodes and links). Export the API format instead: in ComfyUI choose "
                "Workflow > Export (API); in older versions enable the dev mode options, then Save (API Format).",
            )
        ]
    if not graph:
        return [Problem("workflowJson", "The graph has no nodes.")]
    if len(graph) > MAX_GRAPH_NODES:
        return [Problem("workflowJson", f"The graph has {len(graph)} nodes; at most {MAX_GRAPH_NODES} are allowed.")]
    if too_large := _too_large(graph):
        return [Problem("workflowJson", too_large)]
    problems: list[Problem] = []
    for node_id, node in graph.items():
        problems += _node_problems(node_id, node, graph)
    return problems


def _too_large(graph: Mapping[str, Any]) -> str | None:
    """Return why a graph is too large for further checks, or None. Not recursive: the depth is not known yet."""
    values, tokens = 1, 0
    # The values of a node's inputs are three levels down; the same limit holds for everything else in a node.
    pending: list[tuple[Any, int]] = [(graph, -3)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_GRAPH_DEPTH:
            return f"Nested more than {MAX_GRAPH_DEPTH} levels deep."
        if isinstance(value, dict | list):
            values += len(value)
            if values > MAX_GRAPH_VALUES:
                return f"The graph has more than {MAX_GRAPH_VALUES} values."
            if isinstance(value, dict) and any(len(key) > MAX_GRAPH_KEY_CHARACTERS for key in value):
                return f"An id or a name has more than {MAX_GRAPH_KEY_CHARACTERS} characters."
            pending += [(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
        elif isinstance(value, str):
            tokens += value.count("{{")
            if tokens > MAX_GRAPH_TOKENS:
                return f"The graph has more than {MAX_GRAPH_TOKENS} tokens."
        elif not is_json_number(value):
            return "A number is too large, or not a number."
    return None


def _node_problems(node_id: str, node: Any, graph: Mapping[str, Any]) -> Iterator[Problem]:  # noqa: ANN401  any JSON
    path = f"workflowJson.{node_id}"
    if "{{" in node_id:
        yield Problem(path, "A node id cannot contain a token: inputs never change the structure.")
    if not isinstance(node, dict) or not isinstance(node.get("class_type"), str) or not node["class_type"]:
        yield Problem(path, "A node must be an object with a class_type and inputs.")
        return
    if "{{" in node["class_type"]:
        yield Problem(f"{path}.class_type", "A class cannot contain a token: inputs never change the structure.")
    inputs = node.get("inputs", {})
    if not isinstance(inputs, dict):
        yield Problem(f"{path}.inputs", "Must be an object.")
        return
    yield from _value_problems(f"{path}.inputs", inputs, graph, depth=0)


def _value_problems(path: str, value: Any, graph: Mapping[str, Any], depth: int) -> Iterator[Problem]:  # noqa: ANN401
    if depth > MAX_GRAPH_DEPTH:
        yield Problem(path, f"Nested more than {MAX_GRAPH_DEPTH} levels deep.")
    elif isinstance(value, str):
        for inner in _BRACES.findall(value):
            if not _NAME.fullmatch(inner):
                yield Problem(
                    path,
                    f"'{{{{{inner[:_SHOWN_CHARACTERS]}}}}}' is not a token: a name has up to 64 letters, digits and _.",
                )
    elif is_link(value):
        if value[0] not in graph:
            yield Problem(path, f"Links to node '{value[0][:_SHOWN_CHARACTERS]}', which does not exist.")
    elif _could_become_link(value):
        yield Problem(path, "A link cannot contain a token: inputs never change the structure.")
    else:
        for step, item in _items(value):
            if "{{" in step:
                yield Problem(path + step, "A key cannot contain a token.")
            yield from _value_problems(path + step, item, graph, depth + 1)


def _items(value: object) -> Iterator[tuple[str, Any]]:
    """Yield the items of a container, each with its step of the path."""
    if isinstance(value, list):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f".{key}", item) for key, item in value.items())


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Return whether ComfyUI treats a value as a link: `[node id, output index]`."""
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004  a link has two parts
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
        and not isinstance(value[1], bool)
    )


def _could_become_link(value: object) -> bool:
    """Return whether a value would become a link if its token were replaced by a number."""
    return (
        isinstance(value, list)
        and len(value) == 2  # noqa: PLR2004  a link has two parts
        and isinstance(value[0], str)
        and isinstance(value[1], str)
        and _BRACES.fullmatch(value[1]) is not None
    )


def names_in(text: str) -> set[str]:
    """Return the names of the tokens in a text."""
    return {match.group(1) for inner in _BRACES.findall(text) if (match := _NAME.fullmatch(inner))}


def is_token(text: str) -> bool:
    """Return whether a text is one token and nothing else: the value takes its place, with its type."""
    return _BRACES.fullmatch(text) is not None


def token_names(graph: Mapping[str, Any]) -> set[str]:
    """Return the names of all tokens under the nodes' inputs. The graph may have problems."""
    names: set[str] = set()
    pending: list[Any] = [node.get("inputs", {}) for node in graph.values() if isinstance(node, dict)]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            names |= names_in(value)
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
    return names


def token_counts(graph: Mapping[str, Any]) -> Counter[tuple[str, bool]]:
    """Count the tokens of a valid graph, by name and whether the token is all of its string."""
    counts: Counter[tuple[str, bool]] = Counter()
    pending: list[Any] = [node.get("inputs", {}) for node in graph.values()]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            counts.update((inner.strip(), is_token(value)) for inner in _BRACES.findall(value))
        elif isinstance(value, list | dict):
            pending += value.values() if isinstance(value, dict) else value
    return counts


def rendered_bytes(value: Scalar, *, whole: bool) -> int:
    """Return the bytes of a value in a prompt's JSON: as a value of its own, or as a part of a string."""
    size = len(compact_json(value).encode())
    return size - 2 if isinstance(value, str) and not whole else size


def compact_json(value: object) -> str:
    """Write JSON as it is sent to ComfyUI."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def render(graph: Mapping[str, Any], values: Mapping[str, Scalar]) -> dict[str, Any]:
    """Replace the tokens. A string that is only a token becomes the value itself; inside a text, it becomes text.

    Raises KeyError for a token without a value.
    """
    return {
        node_id: {**node, "inputs": _render_value(node.get("inputs", {}), values)} for node_id, node in graph.items()
    }


def _render_value(value: Any, values: Mapping[str, Scalar]) -> Any:  # noqa: ANN401  JSON in, JSON out
    if isinstance(value, str):
        return _render_text(value, values)
    if isinstance(value, list):
        return [_render_value(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _render_value(item, values) for key, item in value.items()}
    return value


def _render_text(text: str, values: Mapping[str, Scalar]) -> Scalar:
    if "{{" not in text:
        return text
    whole = _BRACES.fullmatch(text)
    if whole:
        return values[whole.group(1).strip()]
    # One pass over the template's own text: braces in a value are never parsed.
    return _BRACES.sub(lambda match: _as_text(values[match.group(1).strip()]), text)


def _as_text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
