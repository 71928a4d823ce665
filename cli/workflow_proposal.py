"""A template from a graph as ComfyUI exports it: what an app would want to set becomes `{{name}}`, with a schema.

It goes by what inputs are called and, for prompts, by what the samplers' positive and negative inputs lead back to. A
person has to look at it: nothing here knows what custom nodes do.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli import well_known_inputs
from cli.well_known_inputs import BATCH_SIZE, HEIGHT, LENGTH, NEGATIVE_PROMPT, PROMPT, TEXT_INPUTS, WIDTH
from gateway.domain.template import is_scalar, token_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROLES = {"positive": PROMPT, "negative": NEGATIVE_PROMPT}
# Pairs of inputs that have to follow the canvas when they are what it is.
_SIZES = (("width", "height"), ("target_width", "target_height"))


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input of a node."""

    node_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that was found: where, and what the graph has there."""

    name: str
    value: Any
    places: tuple[GraphInput, ...]


@dataclass(slots=True)
class Proposal:
    """What became of a graph. `graph` and `schema` are ready to be registered."""

    graph: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    schema: dict[str, Any] = field(default_factory=dict)


def propose(graph: Mapping[str, Any]) -> Proposal:
    """Look for inputs in a graph that gateway.domain.template finds sound."""
    made = Proposal(copy.deepcopy(dict(graph)))
    tokens = token_names(graph)
    if tokens:  # somebody has marked them already: what is left as it is, is meant to stay
        made.schema = _schema({name: well_known_inputs.described(_kind(name)) for name in sorted(tokens)})
        made.findings = [Finding(name, None, tuple(_places_of(graph, name))) for name in sorted(tokens)]
        return made
    found = _Found(made.graph)
    _find_prompts(found)
    _find_canvases(found)
    _find_by_name(found)
    made.findings = found.findings()
    for finding in made.findings:
        for place in finding.places:
            made.graph[place.node_id]["inputs"][place.name] = f"{{{{{finding.name}}}}}"
    made.schema = _schema(
        {each.name: well_known_inputs.field(_kind(each.name), each.name, each.value) for each in made.findings}
    )
    return made


class _Found:
    """What was found so far: places by the input's kind and the value that stands there."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self.graph = graph
        self._places: dict[
            tuple[str, str], list[GraphInput]
        ] = {}  # by kind and value's text, which keeps 1 and true apart
        self._taken: set[GraphInput] = set()

    def inputs(self, node_id: str) -> Mapping[str, Any]:
        """Give a node's inputs."""
        inputs: Mapping[str, Any] = self.graph[node_id].get("inputs", {})
        return inputs

    def add(self, kind: str, node_id: str, name: str) -> bool:
        """Take an input, or the node that only holds its value. False when it holds none, or is another's."""
        place = self._holder(GraphInput(node_id, name))
        if place is None or place in self._taken:
            return False
        value = self.value(place)
        self._taken.add(place)
        self._places.setdefault((kind, repr(value)), []).append(place)
        return True

    def value(self, place: GraphInput) -> Any:  # noqa: ANN401  whatever a graph has
        """Give what stands at a place."""
        return self.inputs(place.node_id)[place.name]

    def has(self, kind: str) -> bool:
        """Tell whether there is any of a kind."""
        return any(known == kind for known, _ in self._places)

    def findings(self) -> list[Finding]:
        """Name them: the first of a kind by it, others with a number; equal values of a kind are one input."""
        named: list[Finding] = []
        counts: dict[str, int] = {}
        for (kind, _), places in self._places.items():
            counts[kind] = counts.get(kind, 0) + 1
            name = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
            named.append(Finding(name, self.value(places[0]), tuple(places)))
        return named

    def _holder(self, place: GraphInput) -> GraphInput | None:
        """Follow links to a node that does nothing but hold one value, as primitive nodes do."""
        for _ in range(len(self.graph)):
            value = self.inputs(place.node_id).get(place.name)
            if value is not None and is_scalar(value):
                return place
            source = _source(value)
            if source is None or len(self.inputs(source)) != 1:
                return None
            place = GraphInput(source, next(iter(self.inputs(source))))
        return None


def _find_prompts(found: _Found) -> None:
    for node_id in found.graph:
        inputs = found.inputs(node_id)
        for role, kind in _ROLES.items():
            if role in inputs:
                _follow(found, node_id, role, kind, role)
        if "Guider" in _class(found, node_id) and "conditioning" in inputs:
            _follow(found, node_id, "conditioning", PROMPT, "positive")
    if found.has(PROMPT):
        return
    for node_id in found.graph:  # no sampler leads to a text: take whatever encodes one
        if "TextEncode" in _class(found, node_id):
            title = str(found.graph[node_id].get("_meta", {}).get("title", "")).lower()
            _take_texts(found, node_id, NEGATIVE_PROMPT if "negative" in title else PROMPT)


def _follow(found: _Found, node_id: str, name: str, kind: str, role: str) -> None:
    """Go back from a sampler to the texts that its conditioning was made of, past nodes that only change it."""
    pending, seen = [GraphInput(node_id, name)], set()
    while pending:
        place = pending.pop(0)
        source = _source(found.inputs(place.node_id)[place.name])
        if source is None:
            if isinstance(found.value(place), str):
                found.add(kind, place.node_id, place.name)
            continue
        if source not in found.graph or source in seen:
            continue
        seen.add(source)
        inputs = found.inputs(source)
        onward = [role] if role in inputs else [each for each in inputs if each.startswith("conditioning")]
        if onward:
            pending += [GraphInput(source, each) for each in onward]
        else:
            _take_texts(found, source, kind)


def _take_texts(found: _Found, node_id: str, kind: str) -> None:
    for name in found.inputs(node_id):
        if name in TEXT_INPUTS:
            found.add(kind, node_id, name)


def _find_canvases(found: _Found) -> None:
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


def _find_by_name(found: _Found) -> None:
    for name, kind in well_known_inputs.BY_INPUT_NAME.items():
        for node_id in found.graph:
            if name in found.inputs(node_id):
                found.add(kind, node_id, name)


def _places_of(graph: Mapping[str, Any], token: str) -> Iterator[GraphInput]:
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


def _class(found: _Found, node_id: str) -> str:
    return str(found.graph[node_id]["class_type"])


def _source(value: object) -> str | None:
    """Name the node that a link leads to; None for what is no link."""
    is_link = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)  # noqa: PLR2004  as links are
    return value[0] if is_link and isinstance(value, list) else None
