"""A position in a list ordered by time: where one page ends and the next starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gateway.domain import timestamps

if TYPE_CHECKING:
    from datetime import datetime

_TEXT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)#([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)


@dataclass(frozen=True, slots=True, order=True)
class PagePosition:
    """A time, and an id that orders entries of the same millisecond."""

    at: datetime
    id: str  # a UUID in lower case

    def to_text(self) -> str:
        """Return the position as text. Texts sort as the positions do, so it can be a sort key."""
        return f"{timestamps.to_text(self.at)}#{self.id}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse the result of `to_text`. Raises ValueError on anything else."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"not a position: {text}")
        return cls(timestamps.from_text(match.group(1)), match.group(2))
