"""Read an entry of ComfyUI's history: how a prompt ended there, and its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The history entry of one finished prompt. `data`: the JSON of `/history/{prompt_id}`."""

    prompt_id: str
    data: Mapping[str, Any]

    @property
    def succeeded(self) -> bool:
        """Whether the prompt ran to completion."""
        return self._status.get("status_str") == "success"

    @property
    def interrupted(self) -> bool:
        """Whether the prompt was interrupted. ComfyUI reports this as an error, too."""
        return "execution_interrupted" in self._messages

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The data of the `execution_error` message when a node failed, else None."""
        return None if self.succeeded else self._messages.get("execution_error")

    @property
    def outputs(self) -> Mapping[str, Any]:
        """The outputs of the nodes, by node id."""
        outputs = self.data.get("outputs")
        return outputs if isinstance(outputs, dict) else {}

    @property
    def execution_ms(self) -> int | None:
        """The execution time in milliseconds; None when the entry does not have it."""
        started, finished = (
            self._messages.get(event, {}).get("timestamp") for event in ("execution_start", "execution_success")
        )
        return finished - started if isinstance(started, int) and isinstance(finished, int) else None

    @property
    def _messages(self) -> dict[str, Any]:
        return dict(self._status.get("messages", ()))

    @property
    def _status(self) -> Mapping[str, Any]:
        status = self.data.get("status")
        return status if isinstance(status, dict) else {}
