"""The state of the prompt that runs, and what its nodes can do to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from comfyui_simulator.execution_order import ExecutionOrder
from comfyui_simulator.node_graph import NodeGraph
from comfyui_simulator.progress import Progress
from comfyui_simulator.socket_hub import SocketHub
from comfyui_simulator.types import JsonObject, QueueItem


@dataclass
class Execution:
    """How far a prompt has come: what its nodes returned and what there is to tell about them."""

    item: QueueItem
    graph: NodeGraph
    order: ExecutionOrder
    progress: Progress
    client_id: str | None
    messages: list[list[object]] = field(default_factory=list)
    outputs: JsonObject = field(default_factory=dict)
    meta: JsonObject = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    expanded: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """Nodes that wait for those they expanded into, with the links that will be their outputs."""


class NodeControl:
    """Lets one node wait and tell its progress (see `RunControl`)."""

    def __init__(self, wait: Callable[..., None], execution: Execution, hub: SocketHub, node_id: str) -> None:
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
