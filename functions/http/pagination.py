"""Pages of the lists that run newest first: `limit`, `cursor` and `nextCursor`.

A cursor holds the position at which a page ended, nothing else. It is not signed: whose list it is, and what is in
it, is decided anew for each request, so a made-up cursor can only start a page elsewhere in what its sender may
read anyway.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from gateway.domain.page_position import PagePosition
from gateway.errors import Problem
from gateway.limits import DEFAULT_PAGE_ENTRIES, MAX_CURSOR_CHARACTERS, MAX_PAGE_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_limit(parameters: Mapping[str, str], problems: list[Problem]) -> int:
    """Read how many entries a page may have; what is wrong is added to the problems."""
    text = parameters.get("limit", str(DEFAULT_PAGE_ENTRIES))
    if (
        text.isascii()
        and text.isdigit()
        and len(text) <= len(str(MAX_PAGE_ENTRIES))
        and 1 <= int(text) <= MAX_PAGE_ENTRIES
    ):
        return int(text)
    problems.append(Problem("limit", f"Must be a number from 1 to {MAX_PAGE_ENTRIES}."))
    return DEFAULT_PAGE_ENTRIES


def read_position(parameters: Mapping[str, str], problems: list[Problem]) -> PagePosition | None:
    """Read where a page begins: behind this position, or at the newest. What is wrong is added to the problems."""
    cursor = parameters.get("cursor")
    if cursor is None:
        return None
    try:
        if len(cursor) <= MAX_CURSOR_CHARACTERS:
            return PagePosition.from_text(base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii"))
    except ValueError:  # no base64, no ASCII, no position
        pass
    problems.append(Problem("cursor", "Not a cursor of this list; take it from nextCursor as it is."))
    return None


def to_cursor(position: PagePosition) -> str:
    """Write where a page ended."""
    return base64.urlsafe_b64encode(position.to_text().encode("ascii")).decode("ascii")
