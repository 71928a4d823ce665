"""What ComfyUI's history says of a prompt that ended there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Record:
    """The entry of one prompt, as `/history/{id}` has it."""

    prompt_id: str
    entry: Mapping[str, Any]

    @property
    def succeeded(self) -> bool:
        """Whether it ran to its end."""
        return self._status.get("status_str") == "success"

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it; ComfyUI calls that an error, too."""
        return "execution_interrupted" in self._messages

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """What it says of the node that failed, when that was its end."""
        return None if self.succeeded else self._messages.get("execution_error")

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What the nodes put out, by their ids."""
        outputs = self.entry.get("outputs")
        return outputs if isinstance(outputs, dict) else {}

    @property
    def execution_ms(self) -> int | None:
        """How long it took; None when it does not say."""
        started, ended = (
            self._messages.get(event, {}).get("timestamp") for event in ("execution_start", "execution_success")
        )
        return ended - started if isinstance(started, int) and isinstance(ended, int) else None

    @property
    def _messages(self) -> dict[str, Any]:
        return dict(self._status.get("messages", ()))

    @property
    def _status(self) -> Mapping[str, Any]:
        status = self.entry.get("status")
        return status if isinstance(status, dict) else {}
