"""Inputs from a command line: `steps=20` becomes what the workflow's schema says that steps is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def typed(given: Sequence[str], schema: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Turn `name=value` texts into inputs and params. Raises CommandFailedError, with every problem.

    `params`: the workflow's defaultParams, which say by their values what they are.
    """
    fields = schema.get("properties")
    fields = fields if isinstance(fields, dict) else {}
    inputs: dict[str, Any] = {}
    others: dict[str, Any] = {}
    problems: list[str] = []
    code = ExitCode.REFUSED
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            code = ExitCode.USAGE  # it is no input, whatever the workflow takes
            problems.append(f"-i {text[:40]}: must be NAME=VALUE")
        elif name in inputs or name in others:
            problems.append(f"{name}: is given twice")
        elif name not in fields and name not in params:
            problems.append(f"{name}: this workflow takes {', '.join(sorted({*fields, *params})) or 'no inputs'}")
        else:
            kinds = _kinds(fields[name]) if name in fields else [_kind_of(params[name])]
            try:
                (inputs if name in fields else others)[name] = _read(value, kinds)
            except ValueError:
                problems.append(f"{name}: must be {' or '.join(_WORDS[kind] for kind in kinds)}")
    if problems:
        raise CommandFailedError("; ".join(problems), code)
    return inputs, others


_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "string": "text",
    "any": "anything",
}


def _kinds(field: object) -> list[str]:
    field = field if isinstance(field, dict) else {}
    named = field.get("type")
    kinds = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    known = [kind for kind in kinds if kind in _WORDS]
    if known:
        return known
    choices = field.get("enum")
    return sorted({_kind_of(choice) for choice in choices}) if isinstance(choices, list) and choices else ["any"]


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    kinds = {int: "number", float: "number", str: "string", type(None): "null"}
    return kinds.get(type(value), "any")


def _read(text: str, kinds: Sequence[str]) -> str | float | bool | None:
    """Read a value as the narrowest kind that it fits; text fits everything. Raises ValueError."""
    if "null" in kinds and text == "null":
        return None
    if "boolean" in kinds and text.lower() in (*_TRUE, *_FALSE):
        return text.lower() in _TRUE
    if {"integer", "number", "any"} & {*kinds}:
        number = _number(text)
        if number is not None and ("integer" not in kinds or number == int(number)):
            return int(number) if "integer" in kinds else number
    if {"string", "any"} & {*kinds}:
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
