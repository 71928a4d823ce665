"""The progress of the nodes of a prompt, sent to its client at every change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comfyui_simulator.node_graph import NodeGraph
    from comfyui_simulator.socket_hub import SocketHub
    from comfyui_simulator.types import JsonObject


class NodeProgress:
    """States of the nodes that one prompt has reached so far; each change sends all of them as `progress_state`."""

    def __init__(self, prompt_id: str, graph: NodeGraph, hub: SocketHub, client_id: str | None) -> None:
        self._prompt_id = prompt_id
        self._graph = graph
        self._hub = hub
        self._client_id = client_id
        self._states: dict[str, JsonObject] = {}

    def start(self, node_id: str) -> None:
        """Mark a node as running."""
        self._set(node_id, 0.0, 1.0, "running")

    def finish(self, node_id: str) -> None:
        """Mark a node as finished; one that never started, because its result was cached, counts 1 of 1."""
        maximum = self._states.get(node_id, {"max": 1})["max"]
        self._set(node_id, maximum, maximum, "finished")

    def advance(self, node_id: str, value: int, maximum: int, preview: tuple[bytes, str] | None = None) -> None:
        """Report the steps that a node has done, with a preview as (image, MIME type).

        Clients that asked for metadata get the preview before the `progress` event, others after it (recorded:
        KSampler with and without feature flags).
        """
        self._set(node_id, value, maximum, "running")
        metadata = self._identity(node_id)
        is_early = self._hub.wants_metadata(self._client_id)
        if preview and is_early:
            self._hub.send_preview(*preview, metadata, self._client_id)
        data = {"value": value, "max": maximum, "prompt_id": self._prompt_id, "node": node_id}
        self._hub.send_json("progress", data, self._client_id)
        if preview and not is_early:
            self._hub.send_preview(*preview, metadata, self._client_id)

    def _identity(self, node_id: str) -> JsonObject:
        return {
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": self._graph.display_id(node_id),
            "parent_node_id": self._graph.parent_id(node_id),
            "real_node_id": self._graph.real_id(node_id),
        }

    def _set(self, node_id: str, value: float, maximum: float, state: str) -> None:
        self._states[node_id] = {"value": value, "max": maximum, "state": state, **self._identity(node_id)}
        data = {"prompt_id": self._prompt_id, "nodes": self._states}
        self._hub.send_json("progress_state", data, self._client_id)
