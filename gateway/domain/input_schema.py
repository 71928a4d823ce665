"""Input schemas: both written forms become one JSON Schema 2020-12, checked and bounded before it is kept.

A schema comes from outside, so it may not cost: its size and depth are bounded, it may refer only to
itself, and its patterns run on an engine that is linear in the text's length.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from gateway.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SCHEMA_BYTES = 128 * 1024
MAX_SCHEMA_DEPTH = 16
MAX_PROPERTIES = 200

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COPIED_FIELD_KEYS = (
    "type", "default", "enum", "description", "title", "pattern", "minLength", "maxLength", "multipleOf",
    "minimum", "maximum", "examples",
)  # fmt: skip
_SHORT_FIELD_KEYS = {*_COPIED_FIELD_KEYS, "required", "min", "max"}


def normalise(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Turn either form into a JSON Schema object; list what is wrong with it instead of raising."""
    try:
        size = len(json.dumps(schema))
    except RecursionError:
        return {}, [Problem("inputSchema", f"Nested more than {MAX_SCHEMA_DEPTH} deep.")]
    if size > MAX_SCHEMA_BYTES:
        return {}, [Problem("inputSchema", f"The schema has {size} bytes; at most {MAX_SCHEMA_BYTES} are allowed.")]
    if _depth(schema) > MAX_SCHEMA_DEPTH:
        return {}, [Problem("inputSchema", f"Nested more than {MAX_SCHEMA_DEPTH} deep.")]
    full, problems = _expand(schema) if "fields" in schema else (dict(schema), [])
    full.setdefault("$schema", _DIALECT)
    full.setdefault("type", "object")
    problems = problems or _shape_problems(full)
    if not problems:
        try:
            compile_schema(full)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            problems = [Problem("inputSchema", _first_line(error))]
    return full, problems


def compile_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Compile a normalised schema. Raises jsonschema_rs.ValidationError, ReferencingError or ValueError."""
    return jsonschema_rs.Draft202012Validator(dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions())


def _expand(short: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    fields = short["fields"]
    if not isinstance(fields, dict):
        return {}, [Problem("inputSchema.fields", "Must be an object.")]
    problems: list[Problem] = []
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, field in fields.items():
        path = f"inputSchema.fields.{name}"
        if not isinstance(field, dict):
            problems.append(Problem(path, "Must be an object."))
            continue
        problems += [
            Problem(f"{path}.{key}", f"Unknown key; the short form knows {', '.join(sorted(_SHORT_FIELD_KEYS))}.")
            for key in field
            if key not in _SHORT_FIELD_KEYS
        ]
        if not isinstance(field.get("required", False), bool):
            problems.append(Problem(f"{path}.required", "Must be true or false."))
        # In the short form, as its users know it, a field with a default need not be sent.
        elif field.get("required", False) and "default" not in field:
            required.append(name)
        properties[name] = _expand_field(field)
    full = {"$schema": _DIALECT, "type": "object", "properties": properties, "required": required}
    return full, problems


def _expand_field(field: Mapping[str, Any]) -> dict[str, Any]:
    expanded = {key: field[key] for key in _COPIED_FIELD_KEYS if key in field}
    is_text = field.get("type") == "string"
    for short, long in (("min", "minLength" if is_text else "minimum"), ("max", "maxLength" if is_text else "maximum")):
        if short in field:
            expanded[long] = field[short]
    return expanded


def _shape_problems(schema: Mapping[str, Any]) -> list[Problem]:
    if schema["type"] != "object":
        return [Problem("inputSchema.type", "Must be 'object': inputs are a JSON object.")]
    if schema["$schema"] != _DIALECT:
        return [Problem("inputSchema.$schema", f"Must be {_DIALECT}, or left out.")]
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        return [Problem("inputSchema.properties", "Must be an object.")]
    if len(properties) > MAX_PROPERTIES:
        return [Problem("inputSchema.properties", f"More than {MAX_PROPERTIES} inputs.")]
    return []


def _depth(value: object) -> int:
    """Measure how deep containers are nested, without recursion: the value is not trusted yet."""
    deepest, pending = 0, [(value, 1)]
    while pending:
        current, depth = pending.pop()
        if isinstance(current, dict | list):
            deepest = max(deepest, depth)
            pending += [(item, depth + 1) for item in (current.values() if isinstance(current, dict) else current)]
    return deepest


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).strip().splitlines()[0][:300]
