"""Validate a caller's inputs and complete them to the values that a prompt is rendered with."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from gateway.domain import template
from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_INPUT_CHARACTERS, MAX_INPUTS_BYTES, MAX_INTEGER, MAX_PROBLEM_MESSAGE_CHARACTERS, MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Mapping

RANDOM_SEED = -1
_NOT_BLANK = r"\S"  # the pattern of prompts in the bundled workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of this gateway that apply in addition to a workflow's schema."""

    max_image_size: int  # pixels, for width and height alike
    max_batch_size: int

    def problems(self, values: Mapping[str, Any]) -> list[Problem]:
        """Return a problem for each value over its limit."""
        limits = (("width", self.max_image_size), ("height", self.max_image_size), ("batch_size", self.max_batch_size))
        return [
            Problem(f"inputs.{name}", f"More than this gateway's maximum of {limit}.")
            for name, limit in limits
            if _number(values.get(name)) > limit
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values that a prompt is rendered with."""

    inputs: dict[str, Any]  # by the schema: from the caller or defaults, with the drawn seed
    params: dict[str, Any]  # of `defaultParams`, with the caller's in place of some
    seed: int | None  # of the input or parameter named seed, if there is one
    seed_drawn: bool  # at random: the same request again gets another seed

    @property
    def merged(self) -> dict[str, Any]:
        """All values by token name; an input takes precedence over a parameter of the same name."""
        return {**self.params, **self.inputs}


def resolve(  # noqa: PLR0913  one call site, each argument a different thing
    *,
    inputs: Mapping[str, Any],
    params: Mapping[str, Any],
    schema: Mapping[str, Any],
    validator: jsonschema_rs.Draft202012Validator,
    default_params: Mapping[str, Any],
    limits: Limits | None,
    drawn_seed: int | None = None,
) -> Values:
    """Apply defaults, draw the seed, and validate everything. Raises RequestInvalidError with all problems.

    For a request that was accepted before: no `limits`, since they may have changed, and the `drawn_seed` of that time.
    A name in the schema can be sent as an input or as a parameter; the input takes precedence. `defaultParams` can give
    a default to an input whose schema has none.
    """
    properties = schema.get("properties", {})
    problems = _unknown_problems("inputs", inputs, properties)
    problems += _unknown_problems("params", params, {**properties, **default_params})
    by_schema = {
        name: value
        for source in (default_params, defaults(properties), params, inputs)
        for name, value in source.items()
        if name in properties
    }
    by_params = {name: params.get(name, value) for name, value in default_params.items() if name not in properties}
    unfit = _value_problems("inputs", by_schema) + _value_problems("params", by_params)
    with_seed = by_schema if "seed" in properties else by_params
    seed_drawn = with_seed.get("seed") == RANDOM_SEED
    seed = _settle_seed(with_seed, properties.get("seed"), drawn_seed)
    problems += unfit
    problems += [
        Problem(f"params.{name}", f"Must be {_type_name(default)}.")
        for name, default in default_params.items()
        if name in by_params and not _same_type(by_params[name], default)
    ]
    unfit_paths = {problem.path for problem in unfit}
    fit = {name: value for name, value in by_schema.items() if f"inputs.{name}" not in unfit_paths}
    by_rule = [_schema_problem(error) for error in validator.iter_errors(fit)]
    # A value that was left out as unfit is not missing.
    problems += [problem for problem in by_rule if problem.path not in unfit_paths]
    problems += limits.problems({**by_params, **by_schema}) if limits else []
    problems = problems or _size_problems({**by_params, **by_schema})
    if problems:
        raise RequestInvalidError(problems)
    return Values(inputs=by_schema, params=by_params, seed=seed, seed_drawn=seed_drawn)


def _unknown_problems(where: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> list[Problem]:
    message = f"Unknown; this workflow has {', '.join(sorted(known)) or 'none'}."[:MAX_PROBLEM_MESSAGE_CHARACTERS]
    return [Problem(f"{where}.{name}", message) for name in given if name not in known]


def defaults(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a schema's properties."""
    return {
        name: field["default"] for name, field in properties.items() if isinstance(field, dict) and "default" in field
    }


def _value_problems(where: str, values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for name, value in values.items():
        if not template.is_scalar(value) or (isinstance(value, float) and not math.isfinite(value)):
            problems.append(Problem(f"{where}.{name}", "Must be a string, a number, a boolean or null."))
        elif isinstance(value, str) and len(value) > MAX_INPUT_CHARACTERS:
            problems.append(Problem(f"{where}.{name}", f"Longer than {MAX_INPUT_CHARACTERS} characters."))
        elif isinstance(value, int) and abs(value) > MAX_INTEGER:
            problems.append(Problem(f"{where}.{name}", f"An integer can be at most {MAX_INTEGER}."))
    return problems


def _size_problems(values: Mapping[str, Any]) -> list[Problem]:
    size = len(json.dumps(values, ensure_ascii=False).encode())
    return (
        [Problem("inputs", f"{size} bytes; at most {MAX_INPUTS_BYTES} are allowed.")] if size > MAX_INPUTS_BYTES else []
    )


def _same_type(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float)
    return default is None or isinstance(value, type(default))


def _type_name(default: object) -> str:
    return {bool: "a boolean", int: "a number", float: "a number", str: "a string"}.get(type(default), "null")


def _schema_problem(error: jsonschema_rs.ValidationError) -> Problem:
    steps = [str(step) for step in error.instance_path]
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required):
        return Problem(".".join(("inputs", *steps, error.kind.property)), "Required.")
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Pattern) and error.kind.pattern == _NOT_BLANK:
        return Problem(".".join(("inputs", *steps)), "Must not be blank.")
    return Problem(".".join(("inputs", *steps)), str(error.message)[:MAX_PROBLEM_MESSAGE_CHARACTERS])


def _settle_seed(values: dict[str, Any], field: object, drawn: int | None) -> int | None:
    """Replace a seed of -1 by the one drawn before, or by a random one in the schema's range; return it as run."""
    seed = values.get("seed")
    if isinstance(seed, bool) or not isinstance(seed, int | float):
        return None
    if seed == RANDOM_SEED and drawn is not None:
        seed = values["seed"] = drawn
    elif seed == RANDOM_SEED:
        bounds = field if isinstance(field, dict) else {}
        lowest = max(0, math.ceil(bounds.get("minimum", 0)))
        highest = min(MAX_SEED, math.floor(bounds.get("maximum", MAX_SEED)))
        # An empty range is reported by the schema check.
        seed = values["seed"] = lowest + secrets.randbelow(max(highest - lowest, 0) + 1)
    return int(seed) if abs(seed) <= MAX_INTEGER else None


def _number(value: object) -> float:
    """Convert a value as ComfyUI does, which converts texts too; NaN if it is not a number."""
    try:
        return float(value) if isinstance(value, str | int | float) else math.nan
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan
