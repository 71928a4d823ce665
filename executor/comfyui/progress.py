"""One prompt as ComfyUI's events tell of it: how far it is, and what of that is for its owner to read."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from executor.comfyui.errors.sanitize import node_name
from executor.comfyui.percent import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executor.job.progress_log import JobLog

_ENDS = ("execution_success", "execution_error", "execution_interrupted")
# Of a node's steps its owner reads at most so many times, and not when they go by quickly.
_PARTS = 4
_STEPS_AGAIN_SECONDS = 3.0


class PromptProgress:
    """What is heard of one prompt while it runs.

    `inputs`: the job's own; None when they are private. `news` is set whenever it is worth looking: at the history, or
    at whether to stop. `heard_at`, on the monotonic clock, is when the last event of the prompt came; None when none
    can come any more, or none has yet.
    """

    def __init__(self, prompt: Mapping[str, Any], inputs: Mapping[str, Any] | None, log: JobLog) -> None:
        self.prompt = prompt
        self.inputs = inputs
        self.progress = Progress(prompt)
        self.log = log
        self.news = threading.Event()
        self.started = False
        self.heard_at: float | None = None
        self._parts_told: dict[str, int] = {}  # of the steps of each node
        self._told_at = time.monotonic()

    def restart(self) -> None:
        """Begin anew: the prompt is to run again."""
        self.started = False
        self.heard_at = None
        self._parts_told.clear()

    def hear(self, kind: str, details: Mapping[str, Any]) -> None:
        """Take an event in. One that is none of ComfyUI's own raises whatever it is that does not fit."""
        self.heard_at = time.monotonic()
        if kind == "execution_start":
            self.started = True
            self._tell("ComfyUI started the execution.")
            self.news.set()
        elif kind == "execution_cached":
            self._cached(details["nodes"])
        elif kind == "progress_state":
            for node_id, state in details["nodes"].items():
                self._stepped(node_id, state["value"], state["max"])
        elif kind == "progress":
            self._stepped(details["node"], details["value"], details["max"])
        elif kind == "executed":
            self.progress.finished([details["node"]])
        elif kind == "executing" and details["node"] in self.prompt:
            self._running(details["node"])
        elif kind in _ENDS or (kind == "executing" and details["node"] is None):
            self.news.set()

    def _cached(self, node_ids: list[str]) -> None:
        self.progress.finished(node_ids)
        known = sum(node_id in self.prompt for node_id in node_ids)
        if known:
            self._tell(f"{known} of {len(self.prompt)} nodes are as in an earlier run; ComfyUI has their results.")

    def _running(self, node_id: str) -> None:
        # When ComfyUI reads a model's file it says no more than that: the node runs.
        loads = "Loader" in self.prompt[node_id]["class_type"]
        self._tell(f"{'Loading a model:' if loads else 'Running'} {self._name(node_id)}.", node_id)

    def _stepped(self, node_id: str, value: float, maximum: float) -> None:
        self.progress.at(node_id, value, maximum)
        if node_id not in self.prompt or maximum < _PARTS:
            return
        part = int(_PARTS * max(0.0, min(value / maximum, 1.0)))
        told_before = self._parts_told.get(node_id, 0)
        if told_before < part < _PARTS and time.monotonic() - self._told_at > _STEPS_AGAIN_SECONDS:
            self._parts_told[node_id] = part
            self._tell(f"Step {value:g} of {maximum:g} at {self._name(node_id)}.", node_id)

    def _name(self, node_id: str) -> str:
        return node_name(node_id, "", self.prompt, private=self.inputs is None)

    def _tell(self, message: str, node_id: str | None = None) -> None:
        self._told_at = time.monotonic()
        self.log.add(message, node=node_id)
