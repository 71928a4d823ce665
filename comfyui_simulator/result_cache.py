"""What nodes returned, kept until a prompt no longer contains a node with the same inputs."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfyui_simulator.types import JsonObject, is_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.node_graph import NodeGraph
    from comfyui_simulator.object_info import ObjectInfo


@dataclass(frozen=True)
class NodeResult:
    """What a node returned: its outputs, and what it shows as an output node, with the node that it is shown at."""

    outputs: tuple[object, ...]
    ui: JsonObject | None = None
    ui_meta: JsonObject | None = None


class NodeResultCache:
    """Results of nodes by everything that determines them; two nodes alike share one result, even in one prompt.

    Only results that the next prompt can use survive it (recorded: cached rerun, output kinds).
    """

    def __init__(self, object_info: ObjectInfo, file_fingerprint: Callable[[str], str]) -> None:
        self._object_info = object_info
        self._file_fingerprint = file_fingerprint
        self._results: dict[str, NodeResult] = {}
        self._expanded: dict[str, NodeResult] = {}
        self._keys: dict[str, str] = {}

    def begin(self, graph: NodeGraph) -> list[str]:
        """Start with a new prompt and return its nodes whose results are known already, in the prompt's order."""
        self._keys = {}
        self._expanded = {}
        for node_id in graph:
            self._find_key(graph, node_id)
        wanted = set(self._keys.values())
        self._results = {key: result for key, result in self._results.items() if key in wanted}
        return [node_id for node_id in graph if self.get(node_id) is not None]

    def get(self, node_id: str) -> NodeResult | None:
        """Return the result of a node of the current prompt, if it is known."""
        if node_id in self._keys:
            return self._results.get(self._keys[node_id])
        return self._expanded.get(node_id)

    def put(self, node_id: str, result: NodeResult) -> None:
        """Keep the result of a node; that of an expansion's inner node only while the prompt runs."""
        if node_id in self._keys:
            self._results[self._keys[node_id]] = result
        else:
            self._expanded[node_id] = result

    def clear(self) -> None:
        """Forget all results, as /free with `free_memory` does."""
        self._results = {}

    def _find_key(self, graph: NodeGraph, node_id: str) -> str:
        if node_id in self._keys:
            return self._keys[node_id]
        if node_id not in graph:
            return "missing"
        # Nodes that no output needs were not validated: there may be a cycle, whose end refers to this provisional key.
        self._keys[node_id] = f"cycle at {node_id}"
        class_type = graph.class_type(node_id)
        inputs = {
            name: ["link", self._find_key(graph, value[0]), value[1]] if is_link(value) else value
            for name, value in graph.inputs(node_id).items()
        }
        own_id = node_id if self._object_info.knows_own_id(class_type) else None
        description = [class_type, own_id, self._changing_part(class_type, inputs), sorted(inputs.items())]
        key = hashlib.blake2b(json.dumps(description).encode(), digest_size=16).hexdigest()
        self._keys[node_id] = key
        return key

    def _changing_part(self, class_type: str, inputs: JsonObject) -> str | int | None:
        """Return what makes a node run again although its inputs are the same."""
        if class_type == "SaveImageWebsocket":
            return time.monotonic_ns()
        file_input = {"LoadImage": "image", "LoadImageMask": "image", "LoadAudio": "audio"}.get(class_type)
        return None if file_input is None else self._file_fingerprint(str(inputs.get(file_input)))
