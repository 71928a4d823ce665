"""The nodes of a running prompt: those of the client and those that nodes expanded into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfyui_simulator.types import JsonObject, Prompt, is_link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class NodeGraph:
    """A prompt's nodes by id; nodes added by an expansion remember which node they stand for."""

    def __init__(self, prompt: Prompt) -> None:
        self._nodes = dict(prompt)
        self._parents: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def add(self, node_id: str, node: JsonObject, parent_id: str) -> None:
        """Add a node that `parent_id` expanded into."""
        self._nodes[node_id] = node
        self._parents[node_id] = parent_id

    def class_type(self, node_id: str) -> str:
        """Return the node's class."""
        return str(self._nodes[node_id]["class_type"])

    def inputs(self, node_id: str) -> JsonObject:
        """Return the node's inputs: values and links."""
        inputs: JsonObject = self._nodes[node_id]["inputs"]
        return inputs

    def sources(self, node_id: str, declared: Iterable[str]) -> list[str]:
        """Return the nodes that a node's declared inputs link to, in the order of the declaration."""
        inputs = self.inputs(node_id)
        return [str(inputs[name][0]) for name in declared if is_link(inputs.get(name))]

    def parent_id(self, node_id: str) -> str | None:
        """Return the node that expanded into this one, or None for the client's own nodes."""
        return self._parents.get(node_id)

    def real_id(self, node_id: str) -> str:
        """Return the client's node that this one belongs to."""
        while node_id in self._parents:
            node_id = self._parents[node_id]
        return node_id

    def display_id(self, node_id: str) -> str:
        """Return the node under which clients show this one."""
        return self.real_id(node_id)
