"""Timestamps: text and milliseconds are exact, and texts sort in order of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps

milliseconds = st.integers(0, 4_000_000_000_000)


@given(milliseconds)
def test_both_formats_round_trip(count: int) -> None:
    """Text and milliseconds are exact to the millisecond."""
    moment = timestamps.from_milliseconds(count)
    assert timestamps.to_milliseconds(moment) == count
    assert timestamps.from_text(timestamps.to_text(moment)) == moment


@given(milliseconds, milliseconds)
def test_texts_sort_in_order_of_time(one: int, other: int) -> None:
    """A range of texts is the same range of time."""
    texts = (
        timestamps.to_text(timestamps.from_milliseconds(one)),
        timestamps.to_text(timestamps.from_milliseconds(other)),
    )
    assert (texts[0] < texts[1]) == (one < other)


def test_the_text_is_rfc_3339_in_utc() -> None:
    """It has milliseconds and Z, whatever the time zone was."""
    moment = datetime(2026, 1, 31, 14, 0, 0, 5999, timezone(timedelta(hours=2)))
    assert timestamps.to_text(moment) == "2026-01-31T12:00:00.005Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamps.to_text(SYSTEM_CLOCK.now()))


def test_the_clock_has_millisecond_precision() -> None:
    """The stored text of the current time is equal to the time itself."""
    now = SYSTEM_CLOCK.now()
    assert timestamps.from_text(timestamps.to_text(now)) == now
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-31", "2026-01-31T12:00:00.000"])
def test_a_text_without_time_or_zone_is_rejected(text: str) -> None:
    """A missing time or time zone is not guessed."""
    with pytest.raises(ValueError, match=r".+"):
        timestamps.from_text(text)
