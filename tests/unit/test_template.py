"""Templates: validation at registration, and rendering of tokens."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import template
from gateway.limits import MAX_GRAPH_DEPTH, MAX_GRAPH_NODES

GRAPH: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": "{{seed}}",
            "steps": "{{ steps }}",
            "model": ["4", 0],
            "options": {"list": ["{{cfg}}", 1, None]},
        },
        "_meta": {"title": "{{seed}} is not replaced"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "models/{{checkpoint}}.safetensors"}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{prompt}}, {{prompt}} at {{steps}}", "clip": ["4", 1]}},
}
NAMES = {"seed", "steps", "cfg", "checkpoint", "prompt"}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
hostile = st.sampled_from(
    ["{{seed}}", "{{", "}}", '["4", 0]', '"}, "9": {"class_type": "X"', "{{prompt}}{{steps}}", "\\", "\x00"]
)


def one_node(**inputs: object) -> dict[str, Any]:
    """Make a graph of one node with these inputs, and of a node 4 that it can link to."""
    return {"1": {"class_type": "A", "inputs": inputs}, "4": {"class_type": "B", "inputs": {}}}


def messages(graph: dict[str, Any]) -> dict[str, str]:
    """Check a graph; return the message of each problem by its path."""
    return {problem.path: problem.message for problem in template.graph_problems(graph)}


def test_a_valid_graph_has_no_problems() -> None:
    """Tokens in values, links and nested values are allowed, and all token names are found."""
    assert messages(GRAPH) == {}
    assert template.token_names(GRAPH) == NAMES


def test_a_ui_export_is_rejected_with_instructions() -> None:
    """The only problem explains how to export the API format."""
    ((path, message),) = messages({"nodes": [{"id": 1}], "links": [], "version": 0.4}).items()
    assert path == "workflowJson"
    assert "Export (API)" in message


def test_a_node_may_be_called_nodes() -> None:
    """A node id does not make an API-format graph a UI export."""
    assert messages({"nodes": {"class_type": "A", "inputs": {}}, "links": {"class_type": "A", "inputs": {}}}) == {}


@pytest.mark.parametrize(
    ("graph", "path"),
    [
        ({}, "workflowJson"),
        ({str(i): {"class_type": "A", "inputs": {}} for i in range(MAX_GRAPH_NODES + 1)}, "workflowJson"),
        ({"1": []}, "workflowJson.1"),
        ({"1": {"inputs": {}}}, "workflowJson.1"),
        ({"1": {"class_type": "", "inputs": {}}}, "workflowJson.1"),
        ({"1": {"class_type": 7, "inputs": {}}}, "workflowJson.1"),
        ({"1": {"class_type": "A", "inputs": []}}, "workflowJson.1.inputs"),
    ],
    ids=["empty", "too many nodes", "a list", "no class", "empty class", "class of another type", "inputs a list"],
)
def test_malformed_graphs_are_rejected(graph: dict[str, Any], path: str) -> None:
    """The problem has the path of the malformed part."""
    assert list(messages(graph)) == [path]


@pytest.mark.parametrize(
    ("graph", "path"),
    [
        ({"{{id}}": {"class_type": "A", "inputs": {}}}, "workflowJson.{{id}}"),
        ({"1": {"class_type": "{{class}}", "inputs": {}}}, "workflowJson.1.class_type"),
        (one_node(**{"{{name}}": 1}), "workflowJson.1.inputs.{{name}}"),
        (one_node(a={"b": {"x{{name}}": 1}}), "workflowJson.1.inputs.a.b.x{{name}}"),
        (one_node(a=["{{node}}", 0]), "workflowJson.1.inputs.a"),
        (one_node(a=["4", "{{index}}"]), "workflowJson.1.inputs.a"),
        (one_node(a=["{{node}}", "{{index}}"]), "workflowJson.1.inputs.a"),
        (one_node(a={"__value__": ["4", "{{index}}"]}), "workflowJson.1.inputs.a.__value__"),
    ],
    ids=["node id", "class", "input name", "nested key", "link's node", "link's index", "whole link", "wrapped link"],
)
def test_tokens_outside_values_are_rejected(graph: dict[str, Any], path: str) -> None:
    """Tokens in node ids, classes, keys and links could change the graph's structure."""
    assert list(messages(graph)) == [path]


@pytest.mark.parametrize(
    "value", [["{{a}}"], ["{{a}}", "and {{b}}"], [1, "{{a}}"], ["a", "b", "{{c}}"], ["{{a}}", None]]
)
def test_lists_that_cannot_be_links_may_contain_tokens(value: list[Any]) -> None:
    """Only a list that a value could turn into a link is rejected."""
    assert messages(one_node(a=value)) == {}


@pytest.mark.parametrize("value", [["9", 0], [["9", 1]], {"deep": ["9", 0.0]}])
def test_links_must_refer_to_existing_nodes(value: object) -> None:
    """A link to a missing node is rejected at any depth, and the message names the node."""
    (message,) = messages(one_node(a=value)).values()
    assert "'9'" in message


def nested(levels: int) -> object:
    """Make a value of so many nested lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_depth_is_limited() -> None:
    """Values at the maximum depth pass; one more level is rejected."""
    assert messages(one_node(a=nested(MAX_GRAPH_DEPTH - 1))) == {}
    assert len(messages(one_node(a=nested(MAX_GRAPH_DEPTH)))) == 1


@pytest.mark.parametrize(
    "token", ["{{}}", "{{ }}", "{{1st}}", "{{a-b}}", "{{a b}}", "{{é}}", "{{" + "x" * 65 + "}}", "{{a.b}}"]
)
def test_malformed_tokens_are_rejected(token: str) -> None:
    """The text in double braces must be a name."""
    assert list(messages(one_node(a=f"text {token}"))) == ["workflowJson.1.inputs.a"]


def test_every_problem_is_listed() -> None:
    """Problems of several nodes, and of several inputs of one node, are reported together."""
    graph = {"1": {"class_type": "A", "inputs": {"a": ["9", 0], "b": "{{}}"}}, "2": None}
    assert list(messages(graph)) == ["workflowJson.1.inputs.a", "workflowJson.1.inputs.b", "workflowJson.2"]


@pytest.mark.parametrize("value", [30, 7.5, 1e-7, True, None, "text", "", 2**64 - 1])
def test_a_string_of_one_token_takes_the_type_of_the_value(value: template.Scalar) -> None:
    """A string that is exactly one token is replaced by the value itself, including its type."""
    filled = template.render(one_node(a="{{x}}", b="{{ x }}"), {"x": value})["1"]["inputs"]
    assert [type(filled["a"]), filled["a"], filled["b"]] == [type(value), value, value]


@pytest.mark.parametrize(
    ("value", "text"), [(30, "30"), (7.5, "7.5"), (True, "true"), (None, "null"), ("a", "a"), ("", "")]
)
def test_in_longer_text_a_value_is_inserted_as_text(value: template.Scalar, text: str) -> None:
    """A token in longer text is replaced by the value's text, formatted as in JSON."""
    filled = template.render(one_node(a="<{{x}}|{{x}}>", b=" {{x}}"), {"x": value})["1"]["inputs"]
    assert filled == {"a": f"<{text}|{text}>", "b": f" {text}"}


def test_tokens_in_values_are_not_replaced() -> None:
    """An inserted value is not rendered again."""
    values: dict[str, template.Scalar] = {"x": "{{y}} {{x}} {{", "y": "secret"}
    filled = template.render(one_node(a="{{x}}", b="b {{x}}{{y}}"), values)["1"]["inputs"]
    assert filled == {"a": "{{y}} {{x}} {{", "b": "b {{y}} {{x}} {{secret"}


def test_single_braces_are_not_tokens() -> None:
    """Only a pair of double braces is a token."""
    graph = one_node(a="{a} }} {{ {b} {{x}", b="{{{x}}}")
    assert template.render(graph, {"x": 1})["1"]["inputs"] == {"a": "{a} }} {{ {b} {{x}", "b": "{1}"}


def test_rendering_does_not_change_the_template() -> None:
    """A template is rendered many times."""
    before = repr(GRAPH)
    template.render(GRAPH, dict.fromkeys(NAMES, "x"))
    assert repr(GRAPH) == before


def test_a_token_without_a_value_is_an_error() -> None:
    """No token remains in a prompt without an error."""
    with pytest.raises(KeyError):
        template.render(one_node(a="{{x}}"), {})


def structure(value: object) -> object:
    """Reduce a prompt to the parts that no input may change: containers, keys, links and class types."""
    if isinstance(value, dict):
        return {key: item if key == "class_type" else structure(item) for key, item in value.items()}
    if isinstance(value, list):
        return value if is_link(value) else [structure(item) for item in value]
    return "scalar"


def is_link(value: list[Any]) -> bool:
    """Return whether ComfyUI treats a list as a link."""
    return len(value) == 2 and isinstance(value[0], str) and type(value[1]) in (int, float)


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, scalars | hostile)))
def test_no_value_changes_the_structure(values: dict[str, template.Scalar]) -> None:
    """Node ids, class types, keys and links are the same for all values."""
    rendered = template.render(GRAPH, values)
    assert structure(rendered) == structure(GRAPH)
    assert rendered["3"]["_meta"] == GRAPH["3"]["_meta"]


pieces = st.sampled_from(["{{a}}", "{{b}}", "{{ a }}", "{", "}", "{{", "4", "text", " "])
leaves = st.lists(pieces, max_size=3).map("".join) | st.integers(0, 3) | st.booleans() | st.none()
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=3), inner),
)


@given(trees, scalars | hostile, st.integers(0, 3) | st.just("4"))
def test_no_value_changes_the_structure_of_any_valid_template(
    tree: object, a: template.Scalar, b: template.Scalar
) -> None:
    """For every template that passes validation, with values that include numbers and node ids."""
    graph = one_node(a=tree)
    if not template.graph_problems(graph):
        assert structure(template.render(graph, {"a": a, "b": b})) == structure(graph)
