"""A DNS resolver that returns given addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import NameUnresolvedError

if TYPE_CHECKING:
    from collections.abc import Sequence


class FakeResolver:
    """Implements `Resolver`. `results`: one per lookup; the last one is repeated, and None is unresolved."""

    def __init__(self, *results: Sequence[str] | None) -> None:
        self._results = list(results)
        self.names: list[str] = []

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:  # noqa: ARG002  it returns at once
        """Return the next result."""
        self.names.append(name)
        result = self._results[min(len(self.names), len(self._results)) - 1]
        if result is None:
            raise NameUnresolvedError
        return result
