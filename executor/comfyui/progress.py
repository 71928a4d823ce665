"""Track the progress of one prompt from ComfyUI's WebSocket events, and write job-log lines from them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.sanitize import node_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.job_log import JobLogWriter
    from gateway.ports import Clock

_FINAL_EVENTS = ("execution_success", "execution_error", "execution_interrupted")
# The job log has a line for each quarter of a node's steps, unless the last line is only a moment old.
_PARTS = 4
_MIN_SECONDS_BETWEEN_STEP_LINES = 3.0
_MAX_PERCENT = 99  # 100 is reached when the job ends, not when the last node does


class PromptProgress:
    """The progress of one prompt while it runs.

    `inputs`: the job's own inputs; None when they are private. `changed` is set when the history, or whether to stop,
    should be checked at once. `last_event_at`: when the last event of the prompt arrived, on the monotonic clock; None
    before the first event, and after a reconnect, when no more can come.
    """

    def __init__(
        self, prompt: Mapping[str, Any], inputs: Mapping[str, Any] | None, log: JobLogWriter, clock: Clock
    ) -> None:
        self.prompt = prompt
        self.inputs = inputs
        self.log = log
        self.changed = threading.Event()
        self.started = False
        self.last_event_at: float | None = None
        self._clock = clock
        self._percent = _WeightedPercent(prompt)
        self._parts_logged: dict[str, int] = {}  # by node id
        self._logged_at = clock.monotonic()

    @property
    def percent(self) -> int:
        """The progress, from 0 to 99; it never decreases."""
        return self._percent.value

    def restart(self) -> None:
        """Reset what belongs to one execution: the prompt is about to run again."""
        self.started = False
        self.last_event_at = None
        self._parts_logged.clear()

    def on_event(self, kind: str, details: Mapping[str, Any]) -> None:
        """Process an event. Raises KeyError, TypeError and others for an event that is not in ComfyUI's format."""
        self.last_event_at = self._clock.monotonic()
        if kind == "execution_start":
            self.started = True
            self._log("ComfyUI started the execution.")
            self.changed.set()
        elif kind == "execution_cached":
            self._on_cached(details["nodes"])
        elif kind == "progress_state":
            for node_id, state in details["nodes"].items():
                self._on_step(node_id, state["value"], state["max"])
        elif kind == "progress":
            self._on_step(details["node"], details["value"], details["max"])
        elif kind == "executed":
            self._percent.finish([details["node"]])
        elif kind == "executing" and details["node"] in self.prompt:
            self._on_running(details["node"])
        elif kind in _FINAL_EVENTS or (kind == "executing" and details["node"] is None):
            self.changed.set()

    def _on_cached(self, node_ids: list[str]) -> None:
        self._percent.finish(node_ids)
        cached = sum(node_id in self.prompt for node_id in node_ids)
        if cached:
            self._log(f"Reusing cached results of {cached} of {len(self.prompt)} nodes.")

    def _on_running(self, node_id: str) -> None:
        # While a model file is read, ComfyUI reports only that the loader node runs.
        loads_model = "Loader" in self.prompt[node_id]["class_type"]
        name = node_name(node_id, "", self.prompt, private=self.inputs is None)
        self._log(f"{'Loading a model:' if loads_model else 'Running'} {name}.", node_id)

    def _on_step(self, node_id: str, value: float, maximum: float) -> None:
        self._percent.update(node_id, value, maximum)
        if node_id not in self.prompt or maximum < _PARTS:
            return
        part = int(_PARTS * max(0.0, min(value / maximum, 1.0)))
        is_new = self._parts_logged.get(node_id, 0) < part < _PARTS
        if is_new and self._clock.monotonic() - self._logged_at > _MIN_SECONDS_BETWEEN_STEP_LINES:
            self._parts_logged[node_id] = part
            name = node_name(node_id, "", self.prompt, private=self.inputs is None)
            self._log(f"Step {value:g} of {maximum:g}: {name}.", node_id)

    def _log(self, message: str, node_id: str | None = None) -> None:
        self._logged_at = self._clock.monotonic()
        self.log.add(message, node=node_id)


class _WeightedPercent:
    """The share of a prompt that is done, in percent. Nodes are weighted by their number of steps."""

    def __init__(self, prompt: Mapping[str, Any]) -> None:
        self._weights = {node_id: _weight(node) for node_id, node in prompt.items()}
        self._done = dict.fromkeys(self._weights, 0.0)
        self.value = 0

    def finish(self, node_ids: Iterable[str]) -> None:
        """Count nodes as done."""
        for node_id in node_ids:
            self.update(node_id, 1, 1)

    def update(self, node_id: str, value: float, maximum: float) -> None:
        """Count a node as done by `value` of `maximum`. Ignores nodes that were created during execution."""
        if node_id in self._done and maximum > 0:
            self._done[node_id] = max(self._done[node_id], min(value / maximum, 1.0))
            total = sum(self._weights.values())
            done = sum(self._weights[node] * share for node, share in self._done.items())
            self.value = max(self.value, min(int(100 * done / total), _MAX_PERCENT))


def _weight(node: Mapping[str, Any]) -> float:
    steps = node.get("inputs", {}).get("steps")
    return float(steps) if isinstance(steps, int | float) and steps > 1 else 1.0
