"""Names and their addresses as test data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import NameUnresolvedError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Names:
    """A resolver whose answers are test data; `answers`: for each question in turn, the last for all that follow."""

    def __init__(self, *answers: Sequence[str] | None) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:  # noqa: ARG002  it answers at once
        """Answer the next question."""
        self.asked.append(name)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        if answer is None:
            raise NameUnresolvedError
        return answer
