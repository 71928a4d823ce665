"""Input schemas: normalize both written forms to JSON Schema 2020-12, and check their cost before they are stored.

A schema comes from outside, so validating against it must be cheap: its size and depth are limited, it may refer only
to itself and not in circles, and gateway.domain.patterns limits its patterns.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema_rs

from gateway.domain import patterns
from gateway.errors import Problem
from gateway.limits import MAX_EXPANDED_SCHEMA, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SCHEMA_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping


_PAIR_BYTES = 5  # the least for a key and a value: quotes, colon, comma, and a digit
_TOO_MANY_BYTES = f"The schema has more than {MAX_SCHEMA_BYTES} bytes."
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COPIED_FIELD_KEYS = (
    "type", "default", "enum", "description", "title", "pattern", "minLength", "maxLength", "multipleOf",
    "minimum", "maximum", "examples",
)  # fmt: skip
_SHORT_FIELD_KEYS = {*_COPIED_FIELD_KEYS, "required", "min", "max"}


def normalize(schema: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Convert either form to a JSON Schema object; return its problems instead of raising."""
    if too_large := _too_large(schema):
        return {}, [Problem("inputSchema", too_large)]
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except ValueError:
        return {}, [Problem("inputSchema", "Has a number that is too large, or not a number.")]
    if size > MAX_SCHEMA_BYTES:
        return {}, [Problem("inputSchema", _TOO_MANY_BYTES)]
    full, problems = _expand(schema) if "fields" in schema else (dict(schema), [])
    full.setdefault("$schema", _DIALECT)
    full.setdefault("type", "object")
    problems = problems or _shape_problems(full)
    if not problems:
        try:
            _check_cost(full)
            compile_schema(full)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            problems = [Problem("inputSchema", _first_line(error))]
    return full, problems


def compile_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Compile a normalized schema. Raises jsonschema_rs.ValidationError, ReferencingError or ValueError.

    The validator's messages never contain the value: a prompt must not be in an error.
    """
    return jsonschema_rs.Draft202012Validator(
        patterns.bounded(dict(schema)), offline=True, pattern_options=patterns.ENGINE, mask="The value"
    )


def lists_values(schema: Mapping[str, Any], field: object) -> bool:
    """Return whether a part of a normalized schema lists the values that it accepts, as `enum` does."""
    if not isinstance(field, dict):
        return field is False  # accepts nothing
    if "enum" in field or "const" in field or field.get("type") in ("boolean", "null"):
        return True
    reference = field.get("$ref")
    if isinstance(reference, str) and lists_values(schema, _target(schema, reference)):
        return True
    parts = {key: field[key] for key in ("allOf", "anyOf", "oneOf") if isinstance(field.get(key), list)}
    return any(
        any(lists_values(schema, part) for part in parts[key])
        if key == "allOf"
        else all(lists_values(schema, part) for part in parts[key])
        for key in parts
    )


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
            Problem(f"{path}.{key}", f"Unknown key; the short form has {', '.join(sorted(_SHORT_FIELD_KEYS))}.")
            for key in field
            if key not in _SHORT_FIELD_KEYS
        ]
        if not isinstance(field.get("required", False), bool):
            problems.append(Problem(f"{path}.required", "Must be true or false."))
        # In the short form, a required field with a default need not be sent: its users are used to that.
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
    if len(properties) > MAX_SCHEMA_PROPERTIES:
        return [Problem("inputSchema.properties", f"More than {MAX_SCHEMA_PROPERTIES} inputs.")]
    return []


def _too_large(schema: Mapping[str, Any]) -> str | None:
    """Return why a schema is too large to be serialized, or None.

    Not recursive, since the depth is not known yet. Counts the least bytes that the text can have.
    """
    least_bytes = 0
    pending: list[tuple[Any, int]] = [(schema, 1)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, str):
            least_bytes += len(value)
        if not isinstance(value, dict | list):
            continue
        if depth > MAX_SCHEMA_DEPTH:
            return f"Nested more than {MAX_SCHEMA_DEPTH} levels deep."
        least_bytes += _PAIR_BYTES * len(value) + sum(map(len, value)) if isinstance(value, dict) else 2 * len(value)
        if least_bytes > MAX_SCHEMA_BYTES:
            return _TOO_MANY_BYTES
        pending += [(item, depth + 1) for item in (value.values() if isinstance(value, dict) else value)]
    return None


def _check_cost(schema: Mapping[str, Any]) -> None:
    """Raise ValueError for patterns and references that are not allowed, or expensive to validate.

    Twenty definitions that each refer twice to the next one expand to a million.
    """
    sizes: dict[str, int] = {}
    weights = patterns.weigh_patterns(schema, MAX_EXPANDED_SCHEMA)

    def size(value: object, trail: tuple[str, ...]) -> int:
        if isinstance(value, list):
            return 1 + sum(size(item, trail) for item in value)
        if not isinstance(value, dict):
            return 0
        if isinstance(value.get("$dynamicRef"), str) or (value is not schema and isinstance(value.get("$id"), str)):
            raise ValueError("$dynamicRef is not supported, and $id only at the top.")
        total = 1 + sum(size(item, trail) for item in value.values())
        pattern, reference = value.get("pattern"), value.get("$ref")
        total += weights[pattern] if isinstance(pattern, str) else 0
        return total + (target_size(reference, trail) if isinstance(reference, str) else 0)

    def target_size(reference: str, trail: tuple[str, ...]) -> int:
        if reference in trail or len(trail) == MAX_SCHEMA_DEPTH:
            raise ValueError(f"The reference {reference} refers to itself, or goes through too many others.")
        if reference not in sizes:
            sizes[reference] = size(_target(schema, reference), (*trail, reference))
        return sizes[reference]

    if size(schema, ()) > MAX_EXPANDED_SCHEMA:
        raise ValueError(
            f"The schema has more than {MAX_EXPANDED_SCHEMA} objects and lists after every reference is expanded; "
            "a pattern counts for 50 to 3,200, by its size."
        )


def _target(schema: Mapping[str, Any], reference: str) -> object:
    """Resolve a JSON pointer (RFC 6901) in the form of a URI fragment."""
    if not reference.startswith("#/"):
        raise ValueError(f"The reference {reference} points outside the schema; only #/… is allowed.")
    target: Any = schema
    for step in unquote(reference[2:]).split("/"):
        try:
            target = target[int(step) if isinstance(target, list) else step.replace("~1", "/").replace("~0", "~")]
        except (LookupError, TypeError, ValueError):
            raise ValueError(f"The reference {reference} points to nothing.") from None
    return target


def _first_line(error: Exception) -> str:
    return str(getattr(error, "message", error)).strip().splitlines()[0][:300]
