"""Registration quickly accepts or rejects any JSON, including graphs and schemas that are designed to be expensive."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.inputs import Limits
from gateway.domain.workflow import WorkflowTemplate
from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import RequestInvalidError
from gateway.limits import MAX_GRAPH_NODES, MAX_MATCHED_CHARACTERS, MAX_PATTERN_ESCAPES

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS = Limits(max_image_size=2048, max_batch_size=8)
MILLION = 1_000_000  # characters, about the maximum size of a request body
MINIMAL_GRAPH: dict[str, Any] = {"1": {"class_type": "A", "inputs": {}}}


def node(value: object) -> dict[str, Any]:
    """Make a graph whose only node has this value as an input."""
    return {"1": {"class_type": "A", "inputs": {"a": value}}}


def nested(levels: int) -> object:
    """Make a value of so many nested lists."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def multiplying(levels: int, each: int) -> dict[str, Any]:
    """Make a schema of definitions that each refer to the next one `each` times."""
    chain: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * each} for i in range(levels)}
    return {"$defs": {**chain, f"d{levels}": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}


def patterns(*texts: str) -> dict[str, Any]:
    """Make a schema of inputs with one pattern each."""
    return {"properties": {f"a{i}": {"type": "string", "pattern": text} for i, text in enumerate(texts)}}


REJECTED_GRAPHS: dict[str, dict[str, Any]] = {
    "very deep": node(nested(100_000)),
    "very deep next to the inputs": {"1": {"class_type": "A", "inputs": {}, "_meta": nested(100_000)}},
    "100,000 nodes": {str(i): {"class_type": "A"} for i in range(100_000)},
    "half a million values": node([1] * 500_000),
    "a third of a million lists": node([[] for _ in range(330_000)]),
    "100,000 inputs": {"1": {"class_type": "A", "inputs": {f"k{i}": 1 for i in range(100_000)}}},
    "100,000 links to missing nodes": node([["9", 0] for _ in range(100_000)]),
    "a very long key": {"1": {"class_type": "A", "inputs": {"k" * MILLION: 1}}},
    "a very long key of many links": {"1": {"class_type": "A", "inputs": {"k" * MILLION: [["9", 0]] * 10_000}}},
    "a very long id": {"1" * MILLION: {"class_type": "A"}},
    "200,000 tokens": node("{{a}}" * 200_000),
    "250,000 broken tokens": node("{{}}" * 250_000),
    "a million braces": node("{" * MILLION),
    "a token of spaces": node("{{" + " " * MILLION + "}}"),
    "a number that no float holds": node(10**400),
    "a number too long for Python to format": node(10**5000),
    "infinity": node(float("inf")),
    "NaN": {"1": {"class_type": "A", "inputs": {}, "_meta": float("nan")}},
}
REJECTED_SCHEMAS: dict[str, dict[str, Any]] = {
    "very deep": {"not": nested(100_000)},
    "4 to the power of 14": multiplying(14, 4),
    "2 to the power of 12": multiplying(12, 2),
    "many references to one definition": {
        "$defs": {"x": {}},
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}] * 5000}},
    },
    "remote": {"$ref": "http://127.0.0.1:1/x"},
    "remote in the short form": {"fields": {"a": {"type": "string", "$ref": "http://127.0.0.1:1/x"}}},
    "thousands of character classes": patterns("\\w" * 30_000),
    "hundreds of character classes": patterns(*["\\s" * 90 + str(i) for i in range(200)]),
    "large when compiled": patterns("(a{1000}){1000}"),
    "smaller when compiled, and slow on long texts": patterns("^([ab]{1,5000}a)*$"),
    "many alternatives": patterns("|".join(f"x{i}" for i in range(10_000))),
    "many groups": patterns("(" * 10_000 + "a" + ")" * 10_000),
    "one pattern, many times": {
        "$defs": {"x": {"pattern": "^(.{1,50}a)*$"}},
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}] * 100}},
    },
    "many patterns for names": {"patternProperties": {f"^a{i}": {} for i in range(1000)}},
    "a pattern for all names": {"properties": {"a": {}}, "propertyNames": {"pattern": "a"}},
    "a pattern for all inputs": {"properties": {"a": {}}, "allOf": [{"additionalProperties": {"pattern": "a"}}]},
    "a pattern for all other inputs": {"properties": {"a": {}}, "unevaluatedProperties": {"pattern": "a"}},
    "60,000 properties": {"properties": {f"a{i}": {} for i in range(60_000)}},
    "a huge enum": {"properties": {"a": {"enum": list(range(100_000))}}},
    "an enum of objects": {"properties": {"a": {"enum": [{"a": i} for i in range(9_000)]}}},
    "a number too long for Python to format": {"properties": {"a": {"maximum": 10**5000}}},
    "infinity": {"properties": {"a": {"maximum": float("inf")}}},
    "a broken id": {"$id": "http://[::1", "properties": {}},
    "a broken reference": {"properties": {"a": {"$ref": "#/%ff"}}},
    "an index too long for Python to parse": {"allOf": [{}], "properties": {"a": {"$ref": "#/allOf/" + "9" * 5000}}},
}
ACCEPTED_SCHEMAS: dict[str, dict[str, Any]] = {
    "an enum of 10,000": {"properties": {"a": {"enum": list(range(10_000))}}},
    "the maximum of references": {
        "$defs": {"x": {}},
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}] * 1900}},
    },
    "the maximum of patterns": patterns(*[f"^#[0-9a-fA-F]{{6}}{i}$" for i in range(70)]),
    "a pattern of the maximum size": patterns("^([ab]{1,580}a)*$"),
    "the maximum of escapes": patterns("\\d" * MAX_PATTERN_ESCAPES),
    "lengths and classes": patterns("^[\\w .,-]{1,100}$", "^#[0-9a-fA-F]{6}$", "^[^/]+\\.safetensors$", "^.{1,10}$"),
    "letters of all languages": patterns("^\\p{L}+$"),
}


def register_quickly(graph: Mapping[str, Any], schema: Mapping[str, Any] | None) -> WorkflowTemplate:
    """Register a workflow, and check the time: a successful attack costs seconds to minutes, these about 50 ms.

    CPU time of the thread does not depend on other processes. It includes garbage collection, which took 200 ms with
    the objects of the whole test suite.
    """
    started = time.thread_time()
    try:
        return WorkflowTemplate.register(graph, schema, None)
    finally:
        assert time.thread_time() - started < 1


@pytest.mark.parametrize("name", REJECTED_GRAPHS)
def test_an_expensive_graph_is_rejected_quickly(name: str) -> None:
    """With a problem of limited size."""
    with pytest.raises(RequestInvalidError) as caught:
        register_quickly(REJECTED_GRAPHS[name], None)
    assert len(str(caught.value.details)) < 100_000


@pytest.mark.parametrize("name", REJECTED_SCHEMAS)
def test_an_expensive_schema_is_rejected_quickly(name: str) -> None:
    """With a problem of limited size, and without a request to another host."""
    with pytest.raises(RequestInvalidError) as caught:
        register_quickly(MINIMAL_GRAPH, REJECTED_SCHEMAS[name])
    assert len(str(caught.value.details)) < 100_000


@pytest.mark.parametrize("name", ACCEPTED_SCHEMAS)
def test_a_schema_within_the_limits_is_registered_quickly(name: str) -> None:
    """So are the most expensive schemas that are allowed."""
    register_quickly(MINIMAL_GRAPH, ACCEPTED_SCHEMAS[name])


def test_a_graph_within_the_limits_is_registered_quickly() -> None:
    """So is a graph of the maximum size."""
    inputs = {f"k{i}": "x{{a}}" for i in range(4)}
    graph = {str(i): {"class_type": "A", "inputs": inputs} for i in range(MAX_GRAPH_NODES)}
    assert register_quickly(graph, {"properties": {"a": {}}}).graph == graph


def test_a_rejected_pattern_gets_an_alternative() -> None:
    """The message recommends the keyword to use instead."""
    with pytest.raises(RequestInvalidError, match="maxLength"):
        WorkflowTemplate.register(MINIMAL_GRAPH, patterns("^[^<>]{1,9000}$"), None)


def seconds_and_problem(schema: dict[str, Any], inputs: dict[str, str]) -> tuple[float, str]:
    """Validate inputs like a submission; return the shortest of three CPU times, in seconds, and the error message."""
    registered = WorkflowTemplate.register(MINIMAL_GRAPH, schema, None)
    seconds, message = [], ""
    for _ in range(3):
        started = time.thread_time()
        try:
            registered.values(inputs, {}, LIMITS)
        except RequestInvalidError as error:
            message = error.message
        seconds.append(time.thread_time() - started)
    return min(seconds), message


SLOW_PATTERNS: dict[str, list[str]] = {
    "slow in backtracking engines": ["^(a+)+$", "^(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "^(.*?,){11}P"],
    "one of the maximum size": ["^([ab]{1,580}a)*$"],
    "one with many states": ["^(a|b)*a(a|b){400}$"],
    "four, of the maximum size together": [f"^([ab]{{1,{140 + i}}}a)*c$" for i in range(4)],
    "many": [f"^([ab]{{1,30}}a)*{i}$" for i in range(19)],
    "one of Unicode classes": ["^([^x]{1,30}a[^y]{1,25})*$"],
    "one with word boundaries": ["(\\b[ab]{1,200})*!"],
}


@pytest.mark.parametrize("name", SLOW_PATTERNS)
@pytest.mark.parametrize("letters", ["ab", "aé漢b", "a", "a,"])
def test_no_pattern_delays_a_submission(name: str, letters: str) -> None:
    """The slowest patterns take 25 ms on the longest texts; the limit of 250 ms is for slow machines."""
    text = "".join(random.Random(1).choices(letters, k=MAX_MATCHED_CHARACTERS))  # noqa: S311  not a secret
    texts = SLOW_PATTERNS[name]
    seconds, _ = seconds_and_problem(patterns(*texts), {f"a{i}": text for i in range(len(texts))})
    assert seconds < 0.25


def test_a_text_too_long_for_its_pattern_is_rejected_quickly() -> None:
    """Wherever the pattern is in the schema; the message names the limit. A text without a pattern may be longer."""
    slow = {"pattern": "^([ab]{1,140}a)*$"}
    for schema in (
        {"properties": {"a": slow}},
        {"properties": {"a": {"anyOf": [{"type": "null"}, slow]}}},
        {"properties": {"a": {"allOf": [True], **slow}}},
        {"properties": {"a": {"if": {"maxLength": 1}, "else": slow}}},
        {"$defs": {"x": slow}, "properties": {"a": {"$ref": "#/$defs/x"}}},
        {"properties": {"a": {}}, "allOf": [{"properties": {"a": slow}}]},
        {"properties": {"a": {}, "b": {}}, "dependentSchemas": {"a": {"properties": {"a": slow}}}},
    ):
        assert seconds_and_problem(schema, {"a": "a" * MAX_MATCHED_CHARACTERS})[1] == ""
        seconds, message = seconds_and_problem(schema, {"a": "ab" * 50_000})
        assert message
        assert seconds < 0.02
    assert (
        str(MAX_MATCHED_CHARACTERS)
        in seconds_and_problem({"properties": {"a": slow}}, {"a": "a" * (MAX_MATCHED_CHARACTERS + 1)})[1]
    )
    assert (
        seconds_and_problem({"properties": {"a": slow, "b": {"type": "string"}}}, {"a": "aa", "b": "a" * 100_000})[1]
        == ""
    )


@pytest.mark.parametrize("text", ["ａ", "а", "a\u200b", "\u202ea", "a\u0301", "ı", "a\x00", "a\u2028", "①", "a/../b"])  # noqa: RUF001  look-alikes on purpose
def test_misleading_ids_are_rejected(text: str) -> None:
    """Only ASCII letters, digits, _ and - are allowed: no look-alikes, invisible characters or reversed text."""
    assert not ID_PATTERN.fullmatch(text)


texts = st.text(max_size=12) | st.sampled_from(
    ["{{a}}", "{{", "1", "$ref", "#/$defs/a", "#", "http://x", "(a+)+$", "\\p{L}", "string", "object", "\ud800", "\x00"]
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, -(10**4000)]) | st.floats(width=64) | texts
)
keys = texts | st.sampled_from(
    [
        "type", "properties", "required", "fields", "$ref", "$defs", "$id", "$schema", "$anchor", "$dynamicRef", "enum",
        "const", "pattern", "patternProperties", "allOf", "oneOf", "not", "if", "items", "minimum", "maximum", "min",
        "max", "default", "multipleOf", "format", "additionalProperties", "propertyNames", "dependentSchemas",
        "class_type", "inputs", "nodes", "links", "_meta",
    ]
)  # fmt: skip
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)
json_objects = st.dictionaries(keys, json_values, max_size=5)


@settings(max_examples=150, deadline=None)
@given(
    graph=json_objects | st.dictionaries(texts, st.fixed_dictionaries({"class_type": texts, "inputs": json_objects})),
    schema=st.none() | json_objects | st.fixed_dictionaries({"properties": json_objects}),
    params=st.none() | json_objects,
    inputs=json_objects,
)
def test_any_json_is_rejected_or_works(
    graph: dict[str, Any], schema: dict[str, Any] | None, params: dict[str, Any] | None, inputs: dict[str, Any]
) -> None:
    """Registration raises only RequestInvalidError. A registered template can be stored, rendered, registered again."""
    try:
        registered = WorkflowTemplate.register(graph, schema, params)
    except RequestInvalidError:
        return
    again = WorkflowTemplate.from_json(registered.to_json().encode())
    assert again.to_json() == registered.to_json()
    assert WorkflowTemplate.register(again.graph, again.input_schema, again.default_params).to_json() == again.to_json()
    try:
        again.render(again.values(inputs, {}, LIMITS))
    except RequestInvalidError:
        return
