"""Proposes a template and an input schema for a graph that ComfyUI exported: values to set become `{{name}}`.

Inputs are detected by their names and, for prompts, by following the positive and negative inputs of samplers back to
their texts. A person must check the proposal: nothing here knows custom nodes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli import well_known_inputs
from cli.well_known_inputs import BATCH_SIZE, HEIGHT, LENGTH, NEGATIVE_PROMPT, PROMPT, TEXT_INPUTS, WIDTH
from gateway.domain.loader_inputs import file_names
from gateway.domain.template import is_scalar, token_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROLES = {"positive": PROMPT, "negative": NEGATIVE_PROMPT}
# Pairs of inputs that must follow the size of the canvas if they equal it.
_SIZES = (("width", "height"), ("target_width", "target_height"))


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input of a node."""

    node_id: str
    name: str


@dataclass(frozen=True, slots=True)
class DetectedInput:
    """An input for the schema: its name, its value in the graph, and the node inputs that take it."""

    name: str
    value: Any
    targets: tuple[GraphInput, ...]


@dataclass(slots=True)
class Proposal:
    """A proposal. `graph` and `schema` are ready to be registered."""

    graph: dict[str, Any]
    inputs: list[DetectedInput] = field(default_factory=list)
    schema: dict[str, Any] = field(default_factory=dict)


def propose(graph: Mapping[str, Any]) -> Proposal:
    """Detect inputs in a graph that gateway.domain.template accepts."""
    proposal = Proposal(copy.deepcopy(dict(graph)))
    tokens = token_names(graph)
    if tokens:  # a person has marked the inputs already
        proposal.schema = _schema({name: well_known_inputs.schema_of(_kind(name)) for name in sorted(tokens)})
        proposal.inputs = [DetectedInput(name, None, tuple(_targets_of(graph, name))) for name in sorted(tokens)]
        return proposal
    found = _DetectedValues(proposal.graph)
    _find_prompts(found)
    _find_canvases(found)
    _find_by_name(found)
    proposal.inputs = found.named()
    for detected in proposal.inputs:
        for target in detected.targets:
            proposal.graph[target.node_id]["inputs"][target.name] = f"{{{{{detected.name}}}}}"
    proposal.schema = _schema(
        {each.name: well_known_inputs.field(_kind(each.name), each.name, each.value) for each in proposal.inputs}
    )
    return proposal


class _DetectedValues:
    """Node inputs detected so far, by kind and value."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self.graph = graph
        # By kind and the representation of the value, which distinguishes 1 and true.
        self._targets: dict[tuple[str, str], list[GraphInput]] = {}
        # Names of files stay as they are: an input for one needs a list of the names that callers can choose from.
        self._taken = {GraphInput(each.place.node_id, each.place.name) for each in file_names(graph)}

    def inputs(self, node_id: str) -> Mapping[str, Any]:
        """Return the inputs of a node."""
        inputs: Mapping[str, Any] = self.graph[node_id].get("inputs", {})
        return inputs

    def add(self, kind: str, node_id: str, name: str) -> bool:
        """Add an input, or the node that holds its value. Return False if it has no value, or was added before."""
        target = self._holder(GraphInput(node_id, name))
        if target is None or target in self._taken:
            return False
        value = self.value(target)
        self._taken.add(target)
        self._targets.setdefault((kind, repr(value)), []).append(target)
        return True

    def value(self, target: GraphInput) -> Any:  # noqa: ANN401  whatever a graph has
        """Return the value of a node input."""
        return self.inputs(target.node_id)[target.name]

    def has(self, kind: str) -> bool:
        """Return whether there is an input of a kind."""
        return any(known == kind for known, _ in self._targets)

    def named(self) -> list[DetectedInput]:
        """Name the inputs by their kind, with a number from the second on. Equal values of a kind are one input."""
        named: list[DetectedInput] = []
        counts: dict[str, int] = {}
        for (kind, _), targets in self._targets.items():
            counts[kind] = counts.get(kind, 0) + 1
            name = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
            named.append(DetectedInput(name, self.value(targets[0]), tuple(targets)))
        return named

    def _holder(self, target: GraphInput) -> GraphInput | None:
        """Follow links to a node that only holds one value, as primitive nodes do."""
        for _ in range(len(self.graph)):
            value = self.inputs(target.node_id).get(target.name)
            if value is not None and is_scalar(value):
                return target
            source = _source(value)
            if source is None or len(self.inputs(source)) != 1:
                return None
            target = GraphInput(source, next(iter(self.inputs(source))))
        return None


def _find_prompts(found: _DetectedValues) -> None:
    for node_id in found.graph:
        inputs = found.inputs(node_id)
        for role, kind in _ROLES.items():
            if role in inputs:
                _follow(found, node_id, role, kind, role)
        if "Guider" in _class(found, node_id) and "conditioning" in inputs:
            _follow(found, node_id, "conditioning", PROMPT, "positive")
    if found.has(PROMPT):
        return
    for node_id in found.graph:  # no sampler leads to a text: use every node that encodes one
        if "TextEncode" in _class(found, node_id):
            title = str(found.graph[node_id].get("_meta", {}).get("title", "")).lower()
            _add_texts(found, node_id, NEGATIVE_PROMPT if "negative" in title else PROMPT)


def _follow(found: _DetectedValues, node_id: str, name: str, kind: str, role: str) -> None:
    """Follow a sampler's conditioning back to its texts, past nodes that only modify it."""
    pending, seen = [GraphInput(node_id, name)], set()
    while pending:
        target = pending.pop(0)
        source = _source(found.inputs(target.node_id)[target.name])
        if source is None:
            if isinstance(found.value(target), str):
                found.add(kind, target.node_id, target.name)
            continue
        if source not in found.graph or source in seen:
            continue
        seen.add(source)
        inputs = found.inputs(source)
        onward = [role] if role in inputs else [each for each in inputs if each.startswith("conditioning")]
        if onward:
            pending += [GraphInput(source, each) for each in onward]
        else:
            _add_texts(found, source, kind)


def _add_texts(found: _DetectedValues, node_id: str, kind: str) -> None:
    for name in found.inputs(node_id):
        if name in TEXT_INPUTS:
            found.add(kind, node_id, name)


def _find_canvases(found: _DetectedValues) -> None:
    canvases = []
    for node_id in found.graph:
        inputs = found.inputs(node_id)
        if {WIDTH, HEIGHT} <= inputs.keys() and {BATCH_SIZE, LENGTH} & inputs.keys():
            canvases.append((inputs[WIDTH], inputs[HEIGHT]))
            for name in (WIDTH, HEIGHT, LENGTH, BATCH_SIZE):
                if name in inputs:
                    found.add(name, node_id, name)
    for node_id in found.graph:
        inputs = found.inputs(node_id)
        for names in _SIZES:
            if tuple(inputs.get(name) for name in names) in canvases and is_scalar(inputs.get(names[0])):
                found.add(WIDTH, node_id, names[0])
                found.add(HEIGHT, node_id, names[1])


def _find_by_name(found: _DetectedValues) -> None:
    for name, kind in well_known_inputs.BY_INPUT_NAME.items():
        for node_id in found.graph:
            if name in found.inputs(node_id):
                found.add(kind, node_id, name)


def _targets_of(graph: Mapping[str, Any], token: str) -> Iterator[GraphInput]:
    for node_id, node in graph.items():
        for name, value in node.get("inputs", {}).items():
            if token in token_names({node_id: {"inputs": {name: value}}}):
                yield GraphInput(node_id, name)


def _schema(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    required = [name for name, each in fields.items() if "default" not in each]
    return {"type": "object", "required": required, "additionalProperties": False, "properties": dict(fields)}


def _kind(name: str) -> str:
    stem, underscore, number = name.rpartition("_")
    return stem if underscore and number.isdecimal() else name


def _class(found: _DetectedValues, node_id: str) -> str:
    return str(found.graph[node_id]["class_type"])


def _source(value: object) -> str | None:
    """Return the node that a link leads to; None if the value is not a link."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)  # noqa: PLR2004  as links are
    return value[0] if is_link and isinstance(value, list) else None
