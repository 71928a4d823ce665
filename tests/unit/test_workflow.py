"""Behaviour of workflows: registration as a whole, rendering, storage."""

from __future__ import annotations

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
    """List where a registration is wrong."""
    with pytest.raises(RequestInvalidError) as caught:
        WorkflowTemplate.register(graph, schema, params)
    return [problem.path for problem in caught.value.problems]


def test_every_token_must_be_known() -> None:
    """A token is in the schema or in defaultParams, or it is a problem."""
    with pytest.raises(RequestInvalidError) as caught:
        WorkflowTemplate.register(GRAPH, {"properties": {"prompt": {}}}, None)
    assert [problem.message for problem in caught.value.problems] == [
        "Token {{cfg}} is in neither inputSchema nor defaultParams.",
        "Token {{steps}} is in neither inputSchema nor defaultParams.",
    ]


def test_all_problems_of_a_registration_are_listed() -> None:
    """Schema, parameters and graph are all checked, whatever is wrong with the others."""
    graph = {"1": {"class_type": "A", "inputs": {"a": ["2", 0], "b": "{{unknown}}"}}, "3": "no node"}
    assert paths(graph, {"type": "array"}, {"x": [1]}) == [
        "inputSchema.type",
        "defaultParams.x",
        "workflowJson.1.inputs.a",
        "workflowJson.3",
        "workflowJson",
    ]


def test_what_cannot_be_read_as_a_whole_says_only_that() -> None:
    """Tokens of a graph that is no graph, or inputs of a schema that is none, are not asked after."""
    assert paths({"nodes": [], "links": [], "x": "{{unknown}}"}, None, None) == ["workflowJson"]
    assert paths(GRAPH, {"properties": {"a": {"maximum": float("inf")}}}, None) == ["inputSchema"]


def test_there_is_a_bound_on_parameters() -> None:
    """More than two hundred are refused."""
    assert paths(GRAPH, SCHEMA, {f"p{i}": 1 for i in range(201)})[0] == "defaultParams"


def test_a_registered_template_renders() -> None:
    """Inputs and parameters end up in the prompt with their types."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 7.5})
    prompt = template.render(template.values({"prompt": "a {{steps}} fox", "steps": 4}, {}, LIMITS))
    assert prompt["1"]["inputs"] == {"text": "a {{steps}} fox", "steps": 4, "cfg": 7.5}


def test_an_optional_input_that_the_graph_needs_is_asked_for() -> None:
    """Without value and default there is nothing to render; the caller is told which input it is."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 7.5})
    with pytest.raises(RequestInvalidError) as caught:
        template.render(template.values({"prompt": "x"}, {}, LIMITS))
    assert [problem.path for problem in caught.value.problems] == ["inputs.steps"]


def test_a_stored_template_is_the_same() -> None:
    """What is read back equals what was registered, floats and other alphabets included."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, {"cfg": 1e-7, "name": "Füchse 🦊", "none": None})
    again = WorkflowTemplate.from_json(template.to_json())
    assert again == template
    assert again.values({"prompt": "x", "steps": 1}, {}, LIMITS) == template.values(
        {"prompt": "x", "steps": 1}, {}, LIMITS
    )


@pytest.mark.parametrize("text", ["a", "sdxl_realism_v1", "A-1", "0" * 64])
def test_good_ids(text: str) -> None:
    """Letters, digits, _ and - make an id."""
    assert ID_PATTERN.fullmatch(text)


@pytest.mark.parametrize("text", ["", "-a", "_a", "a/b", "..", "a.b", "a b", "é", "a\n", "0" * 65, "{{a}}"])
def test_bad_ids(text: str) -> None:
    """What could mean something in a path, a key or a shell is no id."""
    assert not ID_PATTERN.fullmatch(text)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"type": "integer", "default": "thirty"}, "inputSchema.properties.steps.default"),
        ({"type": "integer", "maximum": 10, "default": 30}, "inputSchema.properties.steps.default"),
        ({"default": [1]}, "inputSchema.properties.steps.default"),
    ],
)
def test_a_default_must_fit_its_own_schema(field: dict[str, Any], path: str) -> None:
    """Else every job that leaves the input out would be refused."""
    graph = {"1": {"class_type": "A", "inputs": {"steps": "{{steps}}"}}}
    assert path in paths(graph, {"properties": {"steps": field, "prompt": {}}, "required": ["prompt"]}, None)


def test_a_random_seed_may_be_the_default_outside_its_bounds() -> None:
    """-1 stands for a number within them."""
    schema = {"properties": {"seed": {"type": "integer", "minimum": 0, "default": -1}}}
    WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {"seed": "{{seed}}"}}}, schema, None)
