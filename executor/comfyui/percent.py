"""How far a prompt is: nodes weighed by the steps they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ALMOST = 99  # percent; 100 is the job's end, not the last node's


class Progress:
    """The progress of one execution in percent; it never goes back."""

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        self._weights = {node_id: _weight(node) for node_id, node in prompt.items()}
        self._done = dict.fromkeys(self._weights, 0.0)
        self._percent = 0

    @property
    def percent(self) -> int:
        """From 0 to 99."""
        return self._percent

    def finished(self, node_ids: Iterable[str]) -> None:
        """Count nodes as done, the cached ones included."""
        for node_id in node_ids:
            self.at(node_id, 1, 1)

    def at(self, node_id: str, value: float, maximum: float) -> None:
        """Count a node as done by `value` of `maximum`. Nodes made while running are not in the graph, nor here."""
        if node_id in self._done and maximum > 0:
            self._done[node_id] = max(self._done[node_id], min(value / maximum, 1.0))
            total = sum(self._weights.values())
            done = sum(self._weights[node] * share for node, share in self._done.items())
            self._percent = max(self._percent, min(int(100 * done / total), _ALMOST))


def _weight(node: Mapping[str, Any]) -> float:
    steps = node.get("inputs", {}).get("steps")
    return float(steps) if isinstance(steps, int | float) and steps > 1 else 1.0
