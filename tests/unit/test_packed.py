"""Packed fields: what was stored stays readable."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.aws.dynamodb.compression import pack, unpack

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


@given(JSON)
def test_what_is_packed_comes_back(value: object) -> None:
    """Whatever JSON it is."""
    assert unpack(pack(value)) == value


def test_what_was_stored_stays_readable() -> None:
    """By every later release: the words that it was packed with do not change."""
    stored = bytes.fromhex("ab46944989c0d2a74207bd64524229eba0059c29ac44d33524be48ae0500")
    assert unpack(stored) == {
        "prompt": "a fox, highly detailed",
        "steps": 20,
        "cfg": 7.5,
        "seed": -1,
        "checkpoint": "sd_xl_base_1.0.safetensors",
    }
