"""Input schemas: both forms are normalized to JSON Schema, are limited in cost, and cannot refer to other documents."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import input_schema
from gateway.limits import MAX_EXPANDED_SCHEMA, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def problems(schema: dict[str, Any]) -> dict[str, str]:
    """Check a schema; return the message of each problem by its path."""
    return {problem.path: problem.message for problem in input_schema.normalize(schema)[1]}


def accepted(schema: dict[str, Any]) -> dict[str, Any]:
    """Normalize a valid schema."""
    full, found = input_schema.normalize(schema)
    assert found == []
    return full


def test_the_short_form_becomes_json_schema() -> None:
    """The documented example, field by field."""
    field = {
        "type": "number",
        "required": False,
        "default": 30,
        "min": 1,
        "max": 100,
        "enum": [1, 30],
        "description": "d",
    }
    assert accepted({"type": "object", "fields": {"steps": field, "prompt": {"type": "string", "required": True}}}) == {
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "steps": {
                "type": "number", "default": 30, "enum": [1, 30], "description": "d", "minimum": 1, "maximum": 100,
            },
            "prompt": {"type": "string"},
        },
        "required": ["prompt"],
    }  # fmt: skip


def test_min_and_max_of_a_string_limit_its_length() -> None:
    """On a string the short form's min and max are minLength and maxLength."""
    full = accepted({"fields": {"prompt": {"type": "string", "min": 1, "max": 5}}})
    assert full["properties"]["prompt"] == {"type": "string", "minLength": 1, "maxLength": 5}


def test_a_required_field_with_a_default_need_not_be_sent() -> None:
    """The default satisfies `required`."""
    assert accepted({"fields": {"steps": {"type": "number", "required": True, "default": 3}}})["required"] == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"fields": []}, "inputSchema.fields"),
        ({"fields": {"a": 1}}, "inputSchema.fields.a"),
        ({"fields": {"a": {"type": "string", "maximun": 1}}}, "inputSchema.fields.a.maximun"),
        ({"fields": {"a": {"type": "string", "required": "yes"}}}, "inputSchema.fields.a.required"),
        ({"fields": {"a": {"type": "text"}}}, "inputSchema"),
    ],
)
def test_errors_in_the_short_form_have_their_path(schema: dict[str, Any], path: str) -> None:
    """An error in the short form is reported with its path."""
    assert list(problems(schema)) == [path]


def test_a_json_schema_gets_its_dialect_and_type() -> None:
    """The full form is otherwise unchanged, and so is the dictionary that was passed."""
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert accepted(schema) == {**schema, "$schema": DIALECT, "type": "object"}
    assert "$schema" not in schema


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "array"}, "inputSchema.type"),
        ({"type": ["object", "null"]}, "inputSchema.type"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "inputSchema.$schema"),
        ({"properties": []}, "inputSchema.properties"),
        ({"properties": {f"a{i}": {} for i in range(201)}}, "inputSchema.properties"),
        ({"properties": {"a": {"type": "strin"}}}, "inputSchema"),
        ({"properties": {"a": {"minimum": "1"}}}, "inputSchema"),
        ({"required": "a"}, "inputSchema"),
    ],
)
def test_invalid_schemas_are_rejected(schema: dict[str, Any], path: str) -> None:
    """A schema must be a valid 2020-12 schema of an object."""
    assert list(problems(schema)) == [path]


@pytest.mark.parametrize(
    "reference",
    ["http://127.0.0.1:9/x.json", "https://example.com/x", "file:///etc/hosts", "other.json", "#anchor", "#"],
)
def test_references_to_other_documents_are_rejected(reference: str) -> None:
    """Neither a URL nor a file is loaded."""
    assert reference in problems({"properties": {"a": {"$ref": reference}}})["inputSchema"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$dynamicAnchor": "m", "properties": {"a": {"$dynamicRef": "#m"}}},
        {"properties": {"a": {"$id": "http://example.com/", "$ref": "x"}}},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}, "properties": {"a": {"$ref": "#/$defs/x"}}},
    ],
    ids=["dynamic", "another base", "to nothing", "to itself", "in a circle"],
)
def test_dangling_and_circular_references_are_rejected(schema: dict[str, Any]) -> None:
    """A reference must be a JSON pointer to an existing schema that does not refer back to it."""
    assert list(problems(schema)) == ["inputSchema"]


def test_references_within_the_schema_work() -> None:
    """Definitions can be shared, and a property may itself be called $ref or $id."""
    full = accepted(
        {
            "$defs": {"a/b": {"type": "integer", "maximum": 5}},
            "properties": {"x": {"$ref": "#/$defs/a~1b"}, "$ref": {"type": "string"}, "$id": {"type": "string"}},
        }
    )
    assert not input_schema.compile_schema(full).is_valid({"x": 6})


def test_multiplying_references_are_rejected() -> None:
    """Definitions that each refer twice to the next one are rejected before they are expanded."""
    chain: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(14)}
    schema = {"$defs": {**chain, "d14": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    assert str(MAX_EXPANDED_SCHEMA) in problems(schema)["inputSchema"]


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", "(a", "(a{1000}){1000}"])
def test_unsupported_patterns_are_rejected(pattern: str) -> None:
    """Patterns with lookaround or backreferences, or too large when compiled, do not match in linear time."""
    assert list(problems({"properties": {"a": {"type": "string", "pattern": pattern}}})) == ["inputSchema"]


def nested(levels: int) -> dict[str, Any]:
    """Make a schema of so many nested objects."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema


def test_depth_is_limited() -> None:
    """A schema at the maximum depth passes; one more level is rejected, and so are a hundred thousand."""
    assert problems(nested(MAX_SCHEMA_DEPTH)) == {}
    assert list(problems(nested(MAX_SCHEMA_DEPTH + 1))) == ["inputSchema"]
    assert list(problems(nested(100_000))) == ["inputSchema"]


def test_size_is_limited() -> None:
    """A schema over the maximum size is rejected."""
    assert list(problems({"description": "x" * MAX_SCHEMA_BYTES})) == ["inputSchema"]
