"""The order in which the nodes of a prompt run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.node_graph import NodeGraph
    from comfyui_simulator.object_info import ObjectInfo

_FAR = 3


class ExecutionOrder:
    """The nodes that have not run yet, and which of them runs next.

    A node waits for the nodes it links to, unless their results are cached. Among those that are ready, the one
    nearest to an output node goes first, so that clients get images early (recorded: node raises, KSampler).
    """

    def __init__(self, graph: NodeGraph, object_info: ObjectInfo, is_cached: Callable[[str], bool]) -> None:
        self._graph = graph
        self._object_info = object_info
        self._is_cached = is_cached
        self._waits_for: dict[str, set[str]] = {}

    def add(self, node_id: str) -> None:
        """Add a node and all nodes that it depends on."""
        to_add = [node_id]
        while to_add:
            current = to_add.pop()
            if current in self._waits_for:
                continue
            declared = self._object_info.inputs(self._graph.class_type(current))
            sources = [source for source in self._graph.sources(current, declared) if not self._is_cached(source)]
            self._waits_for[current] = set(sources)
            to_add.extend(sources)

    def wait_for(self, node_id: str, source: str) -> None:
        """Make a node that is already in the order wait for one more node, as after an expansion."""
        self.add(source)
        self._waits_for[node_id].add(source)

    def next(self) -> str | None:
        """Return the node to run next; None at the end."""
        if not self._waits_for:
            return None
        ready = [node_id for node_id, sources in self._waits_for.items() if not sources]
        return min(ready, key=self._distance_to_output)

    def done(self, node_id: str) -> None:
        """Remove a node that has run."""
        del self._waits_for[node_id]
        for sources in self._waits_for.values():
            sources.discard(node_id)

    def _distance_to_output(self, node_id: str) -> int:
        """Return how many links away the nearest output node is; 3 for all that are further away."""
        nodes = {node_id}
        for distance in range(_FAR):
            if any(self._object_info.is_output(self._graph.class_type(node)) for node in nodes):
                return distance
            nodes = {waiting for waiting, sources in self._waits_for.items() if sources & nodes}
        return _FAR
