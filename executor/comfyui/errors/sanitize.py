"""Sanitize texts from ComfyUI and from graphs before they are shown: no paths, no addresses, limited length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHHELD = "Details are withheld in privacy mode."

_MAX_NAME_CHARACTERS = 80
_REMOVED = re.compile(
    # A URL of any protocol, or an IP address of a private network.
    r"\b[a-z][a-z0-9+.-]{0,20}://[^\s'\"]+"
    r"|\b(?:(?:10|127)\.\d{1,3}|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.168)(?:\.\d{1,3}){2}(?::\d+)?\b"
    # An absolute path in quotes, which may contain spaces; without quotes, a path of at least two parts.
    r"|(?<=')(?:[A-Za-z]:[\\/]|\\\\|/)[^']+(?=')|(?<=\")(?:[A-Za-z]:[\\/]|\\\\|/)[^\"]+(?=\")"
    r"|(?:[A-Za-z]:\\|\\\\|(?<![\w.])/)(?:[^\s'\"/\\:]+[/\\])+[^\s'\"/\\:]*",
    re.IGNORECASE,
)


def sanitize(message: object, max_characters: int = 500) -> str:
    """Put a message on one line, replace paths and addresses by `…`, and truncate it."""
    # Truncate first: the search is fast whatever the length of the message.
    line = " ".join(str(message)[: 4 * max_characters].split())
    text = _REMOVED.sub("…", "".join(character for character in line if character.isprintable()))
    return text if len(text) <= max_characters else text[: max_characters - 1] + "…"


def node_name(node_id: str, class_type: str, prompt: Mapping[str, Any], *, private: bool) -> str:
    """Name a node by id, title and class: `node 3 "Sampler" (KSampler)`.

    For a private job the title is left out, and only nodes of the graph are named. `class_type` is what ComfyUI
    reports. It is used for nodes that other nodes create during execution: these are not in the graph, and have a
    dotted id that starts with the id of their creator.
    """
    if private:
        known = node_id if node_id in prompt else node_id.split(".", maxsplit=1)[0]
        return f"node {known} ({prompt[known].get('class_type')})" if known in prompt else "an inner node"
    node = prompt.get(node_id, {})
    class_type = sanitize(node.get("class_type", class_type), _MAX_NAME_CHARACTERS)
    title = _title(node)
    titled = f'"{title}" ' if title not in ("", class_type) else ""
    return f"node {node_id[:_MAX_NAME_CHARACTERS]} {titled}({class_type})"


def _title(node: Mapping[str, Any]) -> str:
    """Return the node's title in ComfyUI's editor; empty when it has none."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return sanitize(title, _MAX_NAME_CHARACTERS) if isinstance(title, str) else ""
