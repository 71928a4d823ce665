"""Values from a command line take the types of the schema."""

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
def test_a_value_is_what_the_schema_says(text: str, value: object) -> None:
    """A value of type string stays a string, whatever it looks like."""
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
def test_what_is_no_input_at_all_is_a_wrong_command_line(text: str, code: int) -> None:
    """What the workflow does not take is refused, as the gateway would refuse it."""
    with pytest.raises(CommandFailedError) as caught:
        typed_inputs([text], SCHEMA, {})
    assert caught.value.code == code


def test_parameters_go_by_what_they_are() -> None:
    """A name that is no input but one of defaultParams becomes a parameter."""
    assert typed_inputs(["denoise=0.5", "steps=3"], SCHEMA, {"denoise": 1.0}) == ({"steps": 3}, {"denoise": 0.5})


def test_a_schema_that_is_none_is_survived() -> None:
    """A gateway may send anything."""
    assert typed_inputs(["a=1"], {"properties": {"a": 5}}, {}) == ({"a": 1}, {})
    with pytest.raises(CommandFailedError):
        typed_inputs(["a=1"], {"properties": []}, {})
