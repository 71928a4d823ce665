"""Registration takes anything that JSON can say, and is done with it at once: it registers, or says what is wrong."""

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
MEBI = 1_000_000  # what a body can hold, about
PLAIN: dict[str, Any] = {"1": {"class_type": "A", "inputs": {}}}


def node(value: object) -> dict[str, Any]:
    """Make a graph with a value in it."""
    return {"1": {"class_type": "A", "inputs": {"a": value}}}


def nested(levels: int) -> object:
    """Nest lists so many deep."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def multiplying(levels: int, each: int) -> dict[str, Any]:
    """Make a schema of definitions that each refer to the next so many times."""
    chain: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * each} for i in range(levels)}
    return {"$defs": {**chain, f"d{levels}": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}


def patterns(*texts: str) -> dict[str, Any]:
    """Make a schema of inputs that each have a pattern."""
    return {"properties": {f"a{i}": {"type": "string", "pattern": text} for i, text in enumerate(texts)}}


REFUSED_GRAPHS: dict[str, dict[str, Any]] = {
    "very deep": node(nested(100_000)),
    "very deep beside the inputs": {"1": {"class_type": "A", "inputs": {}, "_meta": nested(100_000)}},
    "100,000 nodes": {str(i): {"class_type": "A"} for i in range(100_000)},
    "half a million values": node([1] * 500_000),
    "a third of a million lists": node([[] for _ in range(330_000)]),
    "100,000 inputs": {"1": {"class_type": "A", "inputs": {f"k{i}": 1 for i in range(100_000)}}},
    "100,000 links to nothing": node([["9", 0] for _ in range(100_000)]),
    "a very long key": {"1": {"class_type": "A", "inputs": {"k" * MEBI: 1}}},
    "a very long key above many": {"1": {"class_type": "A", "inputs": {"k" * MEBI: [["9", 0]] * 10_000}}},
    "a very long id": {"1" * MEBI: {"class_type": "A"}},
    "200,000 tokens": node("{{a}}" * 200_000),
    "250,000 broken tokens": node("{{}}" * 250_000),
    "a mebibyte of braces": node("{" * MEBI),
    "a token of spaces": node("{{" + " " * MEBI + "}}"),
    "a number that no float holds": node(10**400),
    "a number that Python does not write": node(10**5000),
    "infinity": node(float("inf")),
    "no number": {"1": {"class_type": "A", "inputs": {}, "_meta": float("nan")}},
}
REFUSED_SCHEMAS: dict[str, dict[str, Any]] = {
    "very deep": {"not": nested(100_000)},
    "4 to the 14th": multiplying(14, 4),
    "2 to the 12th": multiplying(12, 2),
    "one to many": {"$defs": {"x": {}}, "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}] * 5000}}},
    "remote": {"$ref": "http://127.0.0.1:1/x"},
    "remote in the short form": {"fields": {"a": {"type": "string", "$ref": "http://127.0.0.1:1/x"}}},
    "classes by the thousand": patterns("\\w" * 30_000),
    "classes by the hundred": patterns(*["\\s" * 90 + str(i) for i in range(200)]),
    "large when compiled": patterns("(a{1000}){1000}"),
    "not quite as large, and slow on long texts": patterns("^([ab]{1,5000}a)*$"),
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
    "a number that Python does not write": {"properties": {"a": {"maximum": 10**5000}}},
    "infinity": {"properties": {"a": {"maximum": float("inf")}}},
    "a broken id": {"$id": "http://[::1", "properties": {}},
    "a broken reference": {"properties": {"a": {"$ref": "#/%ff"}}},
    "an index that Python does not read": {"allOf": [{}], "properties": {"a": {"$ref": "#/allOf/" + "9" * 5000}}},
}
TAKEN_SCHEMAS: dict[str, dict[str, Any]] = {
    "an enum of 10,000": {"properties": {"a": {"enum": list(range(10_000))}}},
    "as many references as may be": {
        "$defs": {"x": {}},
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/x"}] * 1900}},
    },
    "as many patterns as may be": patterns(*[f"^#[0-9a-fA-F]{{6}}{i}$" for i in range(70)]),
    "as large a pattern as may be": patterns("^([ab]{1,580}a)*$"),
    "as many escapes as may be": patterns("\\d" * MAX_PATTERN_ESCAPES),
    "lengths and classes": patterns("^[\\w .,-]{1,100}$", "^#[0-9a-fA-F]{6}$", "^[^/]+\\.safetensors$", "^.{1,10}$"),
    "letters of all languages": patterns("^\\p{L}+$"),
}


def register_quickly(graph: Mapping[str, Any], schema: Mapping[str, Any] | None) -> WorkflowTemplate:
    """Register; an attack that works costs seconds to minutes, and none of these a twentieth of one second.

    The time is the thread's own, so that a busy machine does not count; collecting
    garbage does, and with a whole suite's objects to look through that alone has
    taken two tenths of a second.
    """
    started = time.thread_time()
    try:
        return WorkflowTemplate.register(graph, schema, None)
    finally:
        assert time.thread_time() - started < 1


@pytest.mark.parametrize("name", REFUSED_GRAPHS)
def test_a_graph_made_to_cost_is_refused_at_once(name: str) -> None:
    """Before it costs anything, with a problem that says what is too much."""
    with pytest.raises(RequestInvalidError) as caught:
        register_quickly(REFUSED_GRAPHS[name], None)
    assert len(str(caught.value.details)) < 100_000


@pytest.mark.parametrize("name", REFUSED_SCHEMAS)
def test_a_schema_made_to_cost_is_refused_at_once(name: str) -> None:
    """Before it costs anything, without a call to anyone."""
    with pytest.raises(RequestInvalidError) as caught:
        register_quickly(PLAIN, REFUSED_SCHEMAS[name])
    assert len(str(caught.value.details)) < 100_000


@pytest.mark.parametrize("name", TAKEN_SCHEMAS)
def test_a_schema_within_the_bounds_is_taken_at_once(name: str) -> None:
    """What costs the most of what is allowed registers without cost to speak of."""
    register_quickly(PLAIN, TAKEN_SCHEMAS[name])


def test_a_graph_within_the_bounds_is_taken_at_once() -> None:
    """A graph as large as may be registers without cost to speak of."""
    inputs = {f"k{i}": "x{{a}}" for i in range(4)}
    graph = {str(i): {"class_type": "A", "inputs": inputs} for i in range(MAX_GRAPH_NODES)}
    assert register_quickly(graph, {"properties": {"a": {}}}).graph == graph


def test_a_pattern_that_is_refused_says_why() -> None:
    """The message names what is not supported, and what to use in its place."""
    with pytest.raises(RequestInvalidError, match="maxLength"):
        WorkflowTemplate.register(PLAIN, patterns("^[^<>]{1,9000}$"), None)


def use(schema: dict[str, Any], inputs: dict[str, str]) -> tuple[float, str]:
    """Check inputs as a submission does; the seconds that it takes, the quickest of three times, and what is wrong."""
    registered = WorkflowTemplate.register(PLAIN, schema, None)
    seconds, refused = [], ""
    for _ in range(3):
        started = time.thread_time()
        try:
            registered.values(inputs, {}, LIMITS)
        except RequestInvalidError as error:
            refused = error.message
        seconds.append(time.thread_time() - started)
    return min(seconds), refused


SLOW_PATTERNS: dict[str, list[str]] = {
    "for engines that go back": ["^(a+)+$", "^(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "^(.*?,){11}P"],
    "one, as large as may be": ["^([ab]{1,580}a)*$"],
    "one of many states": ["^(a|b)*a(a|b){400}$"],
    "four, together as large": [f"^([ab]{{1,{140 + i}}}a)*c$" for i in range(4)],
    "many": [f"^([ab]{{1,30}}a)*{i}$" for i in range(19)],
    "one of all letters": ["^([^x]{1,30}a[^y]{1,25})*$"],
    "one of word boundaries": ["(\\b[ab]{1,200})*!"],
}


@pytest.mark.parametrize("name", SLOW_PATTERNS)
@pytest.mark.parametrize("letters", ["ab", "aé漢b", "a", "a,"])
def test_no_pattern_keeps_a_submission_waiting(name: str, letters: str) -> None:
    """The costliest patterns on the longest texts that they may see take 25 ms; the bound is for slow machines."""
    text = "".join(random.Random(1).choices(letters, k=MAX_MATCHED_CHARACTERS))  # noqa: S311  no secret
    texts = SLOW_PATTERNS[name]
    seconds, _ = use(patterns(*texts), {f"a{i}": text for i in range(len(texts))})
    assert seconds < 0.25


def test_a_text_that_is_too_long_for_its_pattern_is_refused_at_once() -> None:
    """Wherever the pattern stands, and with words that say so; a text without pattern may be longer."""
    hard = {"pattern": "^([ab]{1,140}a)*$"}
    for schema in (
        {"properties": {"a": hard}},
        {"properties": {"a": {"anyOf": [{"type": "null"}, hard]}}},
        {"properties": {"a": {"allOf": [True], **hard}}},
        {"properties": {"a": {"if": {"maxLength": 1}, "else": hard}}},
        {"$defs": {"x": hard}, "properties": {"a": {"$ref": "#/$defs/x"}}},
        {"properties": {"a": {}}, "allOf": [{"properties": {"a": hard}}]},
        {"properties": {"a": {}, "b": {}}, "dependentSchemas": {"a": {"properties": {"a": hard}}}},
    ):
        assert use(schema, {"a": "a" * MAX_MATCHED_CHARACTERS})[1] == ""
        seconds, refused = use(schema, {"a": "ab" * 50_000})
        assert refused
        assert seconds < 0.02
    assert (
        "longer than 4000 characters" in use({"properties": {"a": hard}}, {"a": "a" * (MAX_MATCHED_CHARACTERS + 1)})[1]
    )
    assert use({"properties": {"a": hard, "b": {"type": "string"}}}, {"a": "aa", "b": "a" * 100_000})[1] == ""


@pytest.mark.parametrize("text", ["ａ", "а", "a\u200b", "\u202ea", "a\u0301", "ı", "a\x00", "a\u2028", "①", "a/../b"])  # noqa: RUF001  these are the tricks
def test_ids_that_look_like_others_are_refused(text: str) -> None:
    """Only ASCII letters, digits, _ and - make an id: no look-alikes, no invisible signs, no reversed text."""
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
def test_whatever_is_registered_is_refused_or_works(
    graph: dict[str, Any], schema: dict[str, Any] | None, params: dict[str, Any] | None, inputs: dict[str, Any]
) -> None:
    """Registration raises nothing but its refusal; what it takes can be stored, filled in and registered again."""
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
