"""Pagination of lists, newest first: `limit`, `cursor` and `nextCursor`.

A cursor holds the position at which a page ended, nothing else. It is not signed: each request decides again what its
caller may read, so a forged cursor can only start a page elsewhere in the caller's own list.
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
    """Parse the maximum number of entries of a page; a problem is appended to `problems`."""
    text = parameters.get("limit", str(DEFAULT_PAGE_ENTRIES))
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE_ENTRIES))
    if digits and 1 <= int(text) <= MAX_PAGE_ENTRIES:
        return int(text)
    problems.append(Problem("limit", f"Must be a number from 1 to {MAX_PAGE_ENTRIES}."))
    return DEFAULT_PAGE_ENTRIES


def read_position(parameters: Mapping[str, str], problems: list[Problem]) -> PagePosition | None:
    """Parse the position behind which a page starts; None: at the newest. A problem is appended to `problems`."""
    cursor = parameters.get("cursor")
    if cursor is None:
        return None
    try:
        if len(cursor) <= MAX_CURSOR_CHARACTERS:
            return PagePosition.from_text(base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii"))
    except ValueError:  # no base64, no ASCII, no position
        pass
    problems.append(Problem("cursor", "Not a cursor of this list; send nextCursor unchanged."))
    return None


def to_cursor(position: PagePosition) -> str:
    """Make the cursor of the page that starts behind this position."""
    return base64.urlsafe_b64encode(position.to_text().encode("ascii")).decode("ascii")
