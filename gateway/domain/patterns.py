"""Limit the cost of the regular expressions in an input schema.

They run on an engine without backtracking (Rust's regex). Its time grows with the compiled size of a pattern times the
length of the text, whatever both are. So both are limited: the patterns' sizes together, and the length of each text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from gateway.limits import MAX_MATCHED_CHARACTERS, MAX_PATTERN_CHARACTERS, MAX_PATTERN_ESCAPES

if TYPE_CHECKING:
    from collections.abc import Mapping


# The compiled size, and the weight of a pattern up to that size: see MAX_EXPANDED_SCHEMA. So a schema can have one of
# the largest patterns, which takes some 20 ms for the longest text, or 80 of the smallest; \S or [^<>]* have the second
# size.
_WEIGHT_OF_BYTES = {1024: 50, 4 * 1024: 200, 16 * 1024: 800, 64 * 1024: 3_200}
ENGINE = jsonschema_rs.RegexOptions(size_limit=max(_WEIGHT_OF_BYTES))

# With these, one pattern could be matched against all inputs, or all names, at once.
_KEYWORDS_FOR_ANY_NAME = ("patternProperties", "propertyNames", "additionalProperties", "unevaluatedProperties")


def weigh_patterns(schema: Mapping[str, Any], max_weight: int) -> dict[str, int]:
    """Return the weight of every pattern in a schema. Raises ValueError when their sum exceeds `max_weight`.

    Also raises ValueError for patterns that the engine rejects, that take long to compile, or that apply to more than
    one value. A text that only looks like a pattern, in an enum for instance, counts as well: that is simpler.
    """
    patterns = _patterns_in(schema)
    if any(len(pattern) > MAX_PATTERN_CHARACTERS for pattern in patterns):
        raise ValueError(f"A pattern can have at most {MAX_PATTERN_CHARACTERS} characters.")
    if sum(pattern.count("\\") for pattern in patterns) > MAX_PATTERN_ESCAPES:
        raise ValueError(f"The patterns have more than {MAX_PATTERN_ESCAPES} backslashes.")
    weights: dict[str, int] = {}
    for pattern in patterns:
        weights[pattern] = _weight(pattern)
        if sum(weights.values()) > max_weight:
            raise ValueError(f"The patterns are too many or too large, at {pattern[:200]}.")
    return weights


def _patterns_in(schema: Mapping[str, Any]) -> set[str]:
    patterns: set[str] = set()
    pending: list[object] = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            if isinstance(value.get("pattern"), str):
                patterns.add(value["pattern"])
            for_any_name = [name for name in _KEYWORDS_FOR_ANY_NAME if isinstance(value.get(name), dict)]
            if for_any_name:
                raise ValueError(f"{for_any_name[0]} must be true or false: inputs are named by properties.")
    return patterns


def _weight(pattern: str) -> int:
    for size_limit, weight in _WEIGHT_OF_BYTES.items():
        options = jsonschema_rs.RegexOptions(size_limit=size_limit)
        try:
            jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
        except jsonschema_rs.ValidationError:
            continue
        return weight
    raise ValueError(
        f"The pattern {pattern[:100]} is invalid, or not supported: no look-around, no back-references, and no long "
        "repetitions (use maxLength to limit a length)."
    )


def bounded(schema: Any) -> Any:  # noqa: ANN401  JSON
    """Copy a schema, or part of one, so that each pattern is matched against short texts only, and rejects others."""
    if isinstance(schema, list):
        return [bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: bounded(value) for key, value in schema.items()}
    if isinstance(copy.get("pattern"), str) and isinstance(copy.get("allOf", []), list):
        short_enough = {"maxLength": MAX_MATCHED_CHARACTERS}
        rule = {"if": short_enough, "then": {"pattern": copy.pop("pattern")}, "else": short_enough}
        copy["allOf"] = [*copy.get("allOf", []), rule]
    return copy
