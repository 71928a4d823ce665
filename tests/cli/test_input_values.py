"""Conversion of command-line values to the types of the schema."""

from __future__ import annotations

import pytest

from cli.exit_codes import CommandFailedError
from cli.input_values import typed_inputs

SCHEMA = {
    "properties": {
        "steps": {"type": "integer"},
        "cfg": {"type": "number"},
        "prompt": {"type": "string"},
        "tiled": {"type": "boolean"},
        "style": {"type": ["string", "null"]},
        "upscale": {"enum": [1, 2]},
        "mode": {"enum": ["a", 1]},
        "free": {},
    }
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("steps=20", 20),
        ("steps=2e1", 20),
        ("cfg=7", 7),
        ("cfg=7.5", 7.5),
        ("prompt=20", "20"),
        ("prompt=a=b", "a=b"),
        ("prompt=", ""),
        ("tiled=true", True),
        ("tiled=no", False),
        ("style=null", None),
        ("style=noir", "noir"),
        ("upscale=2", 2),
        ("mode=1", 1),
        ("mode=a", "a"),
        ("free=5", 5),
        ("free=five", "five"),
    ],
)
def test_a_value_has_the_type_of_the_schema(text: str, value: object) -> None:
    """A value of type string stays a string, also if it is a number."""
    inputs, params = typed_inputs([text], SCHEMA, {})
    (read,) = inputs.values()
    assert (read, type(read), params) == (value, type(value), {})


@pytest.mark.parametrize(
    "text",
    [
        "steps=2.5",
        "steps=",
        "steps=true",
        "cfg=NaN",
        "cfg=Infinity",
        "tiled=maybe",
        "upscale=big",
        "nothing=1",
        "=1",
        "x",
    ],
)
def test_an_invalid_value_is_refused(text: str) -> None:
    """Before it is sent."""
    with pytest.raises(CommandFailedError):
        typed_inputs([text], SCHEMA, {})


@pytest.mark.parametrize(("text", "code"), [("x", 2), ("=1", 2), ("steps=many", 3), ("nothing=1", 3)])
def test_exit_codes_of_invalid_inputs(text: str, code: int) -> None:
    """2 for an invalid command line, 3 for an input that the gateway would refuse."""
    with pytest.raises(CommandFailedError) as caught:
        typed_inputs([text], SCHEMA, {})
    assert caught.value.code == code


def test_names_of_default_params_are_parameters() -> None:
    """A name that is in defaultParams and not in the schema is a parameter."""
    assert typed_inputs(["denoise=0.5", "steps=3"], SCHEMA, {"denoise": 1.0}) == ({"steps": 3}, {"denoise": 0.5})


def test_an_invalid_schema_raises_no_other_exception() -> None:
    """The gateway may not be trusted."""
    assert typed_inputs(["a=1"], {"properties": {"a": 5}}, {}) == ({"a": 1}, {})
    with pytest.raises(CommandFailedError):
        typed_inputs(["a=1"], {"properties": []}, {})
