"""The state of the running prompt, and the calls that its nodes can make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.execution_order import ExecutionOrder
    from comfyui_simulator.node_graph import NodeGraph
    from comfyui_simulator.progress import NodeProgress
    from comfyui_simulator.socket_hub import SocketHub
    from comfyui_simulator.types import JsonObject, QueueItem


@dataclass
class RunningPrompt:
    """The state of a running prompt: results of its nodes, and the messages about them."""

    item: QueueItem
    graph: NodeGraph
    order: ExecutionOrder
    progress: NodeProgress
    client_id: str | None
    messages: list[list[object]] = field(default_factory=list)
    outputs: JsonObject = field(default_factory=dict)
    meta: JsonObject = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    expanded: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """Nodes that wait for the nodes they expanded into, with the links that will be their outputs."""


class NodeControl:
    """Lets one node wait and report its progress (see `RunControl`)."""

    def __init__(self, wait: Callable[..., None], execution: RunningPrompt, hub: SocketHub, node_id: str) -> None:
        self.wait = wait
        self._execution = execution
        self._hub = hub
        self._node_id = node_id

    def advance(self, value: int, maximum: int, preview: tuple[bytes, str] | None = None) -> None:
        """Report the steps done, with a preview as (image, MIME type)."""
        self._execution.progress.advance(self._node_id, value, maximum, preview)

    def show_text(self, text: str) -> None:
        """Send a text to be shown at the node."""
        self._hub.send_text(text, self._node_id, self._execution.client_id)
