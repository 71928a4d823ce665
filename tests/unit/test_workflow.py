"""Workflow templates: registration, rendering and storage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.inputs import Limits
from gateway.domain.workflow import WorkflowTemplate
from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import RequestInvalidError

LIMITS = Limits(max_image_size=2048, max_batch_size=8)
GRAPH: dict[str, Any] = {
    "1": {"class_type": "A", "inputs": {"text": "{{prompt}}", "steps": "{{steps}}", "cfg": "{{cfg}}"}}
}
SCHEMA: dict[str, Any] = {"fields": {"prompt": {"type": "string", "required": True}, "steps": {"type": "number"}}}


def paths(graph: dict[str, Any], schema: dict[str, Any] | None, params: dict[str, Any] | None) -> list[str]:
    """List the paths of a registration's problems."""
    with pytest.raises(RequestInvalidError) as caught:
        WorkflowTemplate.register(graph, schema, params)
    return [problem.path for problem in caught.value.problems]


def test_every_token_must_be_known() -> None:
    """A token that is in neither the schema nor defaultParams is a problem, and the message names it."""
    with pytest.raises(RequestInvalidError) as caught:
        WorkflowTemplate.register(GRAPH, {"properties": {"prompt": {}}}, None)
    cfg, steps = [problem.message for problem in caught.value.problems]
    assert "{{cfg}}" in cfg
    assert "{{steps}}" in steps


def test_all_problems_of_a_registration_are_listed() -> None:
    """Schema, parameters and graph are all checked, even if another one is invalid."""
    graph = {"1": {"class_type": "A", "inputs": {"a": ["2", 0], "b": "{{unknown}}"}}, "3": "no node"}
    assert paths(graph, {"type": "array"}, {"x": [1]}) == [
        "inputSchema.type",
        "defaultParams.x",
        "workflowJson.1.inputs.a",
        "workflowJson.3",
        "workflowJson",
    ]


def test_a_malformed_graph_or_schema_is_the_only_problem() -> None:
    """Tokens of a malformed graph, and inputs of a malformed schema, are not checked."""
    assert paths({"nodes": [], "links": [], "x": "{{unknown}}"}, None, None) == ["workflowJson"]
    assert paths(GRAPH, {"properties": {"a": {"maximum": float("inf")}}}, None) == ["inputSchema"]


def test_the_number_of_parameters_is_limited() -> None:
    """More than two hundred are rejected."""
    assert paths(GRAPH, SCHEMA, {f"p{i}": 1 for i in range(201)})[0] == "defaultParams"


def test_a_registered_template_renders() -> None:
    """Inputs and parameters are in the prompt, with their types."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 7.5})
    prompt = template.render(template.values({"prompt": "a {{steps}} fox", "steps": 4}, {}, LIMITS))
    assert prompt["1"]["inputs"] == {"text": "a {{steps}} fox", "steps": 4, "cfg": 7.5}


def test_an_optional_input_without_default_is_required_by_its_token() -> None:
    """Without a value or default the token cannot be rendered; the problem has the path of the input."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 7.5})
    with pytest.raises(RequestInvalidError) as caught:
        template.render(template.values({"prompt": "x"}, {}, LIMITS))
    assert [problem.path for problem in caught.value.problems] == ["inputs.steps"]


def test_a_stored_template_round_trips() -> None:
    """The parsed template equals the registered one, including floats and Unicode text."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 1e-7, "name": "Füchse 🦊", "none": None})
    again = WorkflowTemplate.from_json(template.to_json())
    assert again == template
    assert again.values({"prompt": "x", "steps": 1}, {}, LIMITS) == template.values(
        {"prompt": "x", "steps": 1}, {}, LIMITS
    )


@pytest.mark.parametrize("text", ["a", "sdxl_realism_v1", "A-1", "0" * 64])
def test_valid_ids(text: str) -> None:
    """An id consists of letters, digits, _ and -."""
    assert ID_PATTERN.fullmatch(text)


@pytest.mark.parametrize("text", ["", "-a", "_a", "a/b", "..", "a.b", "a b", "é", "a\n", "0" * 65, "{{a}}"])
def test_invalid_ids(text: str) -> None:
    """Characters with a meaning in a path, an object key or a shell are not allowed."""
    assert not ID_PATTERN.fullmatch(text)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"type": "integer", "default": "thirty"}, "inputSchema.properties.steps.default"),
        ({"type": "integer", "maximum": 10, "default": 30}, "inputSchema.properties.steps.default"),
        ({"default": [1]}, "inputSchema.properties.steps.default"),
    ],
)
def test_a_default_must_match_its_schema(field: dict[str, Any], path: str) -> None:
    """Otherwise every job without this input would be rejected."""
    graph = {"1": {"class_type": "A", "inputs": {"steps": "{{steps}}"}}}
    assert path in paths(graph, {"properties": {"steps": field, "prompt": {}}, "required": ["prompt"]}, None)


def test_a_default_seed_of_minus_one_may_be_outside_the_limits() -> None:
    """-1 means a random number within the limits."""
    schema = {"properties": {"seed": {"type": "integer", "minimum": 0, "default": -1}}}
    WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {"seed": "{{seed}}"}}}, schema, None)


@pytest.mark.parametrize("text", ["", "a fox", '\0\n"\\\x1f', "füchse 🦊", "{{steps}}", "a" * 5000])
@pytest.mark.parametrize("number", [7, -1.5e-7, 2**60, True, None])
def test_the_size_of_a_prompt_is_known_before_it_is_rendered(text: str, number: object) -> None:
    """Byte for byte, for values of their own and within texts, with escapes and characters of several bytes."""
    graph = {
        "1": {"class_type": "A", "inputs": {"ä": "{{ prompt }}", "b": "{{prompt}}, {{x}} 🦊\n {{prompt}}", "c": 1.0}},
        "2": {"class_type": "B", "inputs": {"d": ["1", 0], "e": ["{{x}}", {"f": "{{prompt}}"}, "plain"]}},
        "3": {"class_type": "C"},
    }
    template = WorkflowTemplate.register(graph, {"properties": {"prompt": {}, "x": {}}}, None)
    values = template.values({"prompt": text, "x": number}, {}, None)
    rendered = json.dumps(template.render(values), separators=(",", ":"), ensure_ascii=False).encode()
    assert template.rendered_bytes(values) == len(rendered)
