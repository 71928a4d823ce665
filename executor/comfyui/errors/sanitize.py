"""What ComfyUI and graphs say, made fit to be shown: no path, no address, and nothing that is long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WITHHELD = "Privacy mode withholds the rest."

_MAX_NAME_CHARACTERS = 80
_NOT_SHOWN = re.compile(
    # An address of any protocol, and one of a private network by its numbers.
    r"\b[a-z][a-z0-9+.-]{0,20}://[^\s'\"]+"
    r"|\b(?:(?:10|127)\.\d{1,3}|169\.254|172\.(?:1[6-9]|2\d|3[01])|192\.168)(?:\.\d{1,3}){2}(?::\d+)?\b"
    # A whole path between quotes, which may have spaces; else what looks like one of at least two parts.
    r"|(?<=')(?:[A-Za-z]:[\\/]|\\\\|/)[^']+(?=')|(?<=\")(?:[A-Za-z]:[\\/]|\\\\|/)[^\"]+(?=\")"
    r"|(?:[A-Za-z]:\\|\\\\|(?<![\w.])/)(?:[^\s'\"/\\:]+[/\\])+[^\s'\"/\\:]*",
    re.IGNORECASE,
)


def sanitised(message: object, max_characters: int = 500) -> str:
    """Put a message on one line, cut paths and addresses out of it, and what is too long off."""
    # Cut first: however long it is, it is looked through quickly.
    line = " ".join(str(message)[: 4 * max_characters].split())
    text = _NOT_SHOWN.sub("…", "".join(character for character in line if character.isprintable()))
    return text if len(text) <= max_characters else text[: max_characters - 1] + "…"


def node_name(node_id: str, class_type: str, prompt: Mapping[str, Any], *, private: bool) -> str:
    """Name a node by id, title and class: `node 3 "Sampler" (KSampler)`.

    Of a private job, what the graph says of it and no title. `class_type` is ComfyUI's word, for nodes that others made
    while they ran: those are not in the graph, and have a dotted id of their maker's.
    """
    if private:
        known = node_id if node_id in prompt else node_id.split(".", maxsplit=1)[0]
        return f"node {known} ({prompt[known].get('class_type')})" if known in prompt else "an inner node"
    node = prompt.get(node_id, {})
    class_type = sanitised(node.get("class_type", class_type), _MAX_NAME_CHARACTERS)
    title = _title(node)
    titled = f'"{title}" ' if title not in ("", class_type) else ""
    return f"node {node_id[:_MAX_NAME_CHARACTERS]} {titled}({class_type})"


def _title(node: Mapping[str, Any]) -> str:
    """Read the title that a node has in ComfyUI's own page; empty when there is none."""
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return sanitised(title, _MAX_NAME_CHARACTERS) if isinstance(title, str) else ""
