"""Parses inputs from the command line: `steps=20` becomes a value of the type that the workflow's schema defines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def typed_inputs(
    given: Sequence[str], schema: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[dict[str, Any], ...]:
    """Parse `name=value` texts into inputs and params. Raises CommandFailedError with every problem.

    `params`: the workflow's defaultParams, whose values define their types.
    """
    fields = schema.get("properties")
    fields = fields if isinstance(fields, dict) else {}
    inputs: dict[str, Any] = {}
    parsed_params: dict[str, Any] = {}
    problems: list[str] = []
    code = ExitCode.REFUSED
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            code = ExitCode.USAGE  # not an input of any workflow
            problems.append(f"-i {text[:40]}: must be NAME=VALUE")
        elif name in inputs or name in parsed_params:
            problems.append(f"{name}: given twice")
        elif name not in fields and name not in params:
            known = ", ".join(sorted({*fields, *params})) or "none"
            problems.append(f"{name}: not an input of this workflow. Its inputs: {known}")
        else:
            types = _types(fields[name]) if name in fields else [_type_of(params[name])]
            try:
                (inputs if name in fields else parsed_params)[name] = _parse(value, types)
            except ValueError:
                problems.append(f"{name}: must be {' or '.join(_TYPE_NAMES[type_] for type_ in types)}")
    if problems:
        raise CommandFailedError("; ".join(problems), code)
    return inputs, parsed_params


_TYPE_NAMES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "string": "text",
    "any": "anything",
}


def _types(field: object) -> list[str]:
    field = field if isinstance(field, dict) else {}
    named = field.get("type")
    types = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    known = [each for each in types if each in _TYPE_NAMES]
    if known:
        return known
    choices = field.get("enum")
    return sorted({_type_of(choice) for choice in choices}) if isinstance(choices, list) and choices else ["any"]


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    types = {int: "number", float: "number", str: "string", type(None): "null"}
    return types.get(type(value), "any")


def _parse(text: str, types: Sequence[str]) -> str | float | bool | None:
    """Parse a value as the narrowest type that it fits; every value is a string. Raises ValueError."""
    if "null" in types and text == "null":
        return None
    if "boolean" in types and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    if {"integer", "number", "any"} & {*types}:
        number = _number(text)
        if number is not None and ("integer" not in types or number == int(number)):
            return int(number) if "integer" in types else number
    if {"string", "any"} & {*types}:
        return text
    raise ValueError(text)


def _number(text: str) -> int | float | None:
    try:
        number = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def _refuse(constant: str) -> float:
    raise ValueError(constant)
