"""Parsing and formatting of times."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cli import times
from cli.exit_codes import CommandFailedError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def local_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the local time zone to UTC+2."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "TEST-2")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", "2026-11-30T11:59:30+00:00"),
        ("90m", "2026-11-30T10:30:00+00:00"),
        ("1h", "2026-11-30T11:00:00+00:00"),
        ("2d", "2026-11-28T12:00:00+00:00"),
        ("1w", "2026-11-23T12:00:00+00:00"),
        ("2026-11-30", "2026-11-29T22:00:00+00:00"),
        ("2026-11-30T09:00", "2026-11-30T07:00:00+00:00"),
        ("2026-11-30T09:00:00Z", "2026-11-30T09:00:00+00:00"),
        ("2026-11-30T09:00:00.5-05:00", "2026-11-30T14:00:00.500000+00:00"),
    ],
)
def test_a_time_is_an_age_a_date_or_a_timestamp(text: str, expected: str) -> None:
    """Without a time zone it is local time."""
    assert times.past_time("--after", text, NOW).astimezone(UTC).isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "1", "h", "-1h", "1.5h", "99999d", "2026-13-01", "1h 2m"])
def test_an_invalid_time_is_a_usage_error_that_names_the_option(text: str) -> None:
    """The message has examples of valid times."""
    with pytest.raises(CommandFailedError, match=r"--before: .*1h.*2026-01-31") as caught:
        times.past_time("--before", text, NOW)
    assert caught.value.code is ExitCode.USAGE


def test_an_expiry_is_in_the_future() -> None:
    """`90d` is in 90 days."""
    assert times.future_time("--expires", "90d", NOW) == NOW + timedelta(days=90)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s ago"),
        (3.9, "3s ago"),
        (200, "3m ago"),
        (3600 * 47, "47h ago"),
        (3600 * 50, "2d ago"),
        (86400 * 100, "2026-08-22"),
    ],
)
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    """A long age is a date. A clock that differs causes no negative age."""
    assert times.age(NOW - timedelta(seconds=seconds), NOW) == shown


def test_a_distance_has_a_direction() -> None:
    """In the past or in the future."""
    assert times.distance(NOW + timedelta(minutes=3, seconds=1), NOW) == "in 3m"
    assert times.distance(NOW - timedelta(minutes=3, seconds=1), NOW) == "3m ago"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.34, "0.3s"), (12.44, "12.4s"), (59.96, "1m 00s"), (125, "2m 05s"), (3725, "1h 02m"), (3599.9, "1h 00m")],
)
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    """Tenths of seconds only below a minute."""
    assert times.duration(seconds) == shown


def test_local_time_has_its_zone() -> None:
    """The clock time of today has no date."""
    assert times.local_time(NOW) == "2026-11-30 14:00:00 +0200"
    assert times.clock_time(NOW, NOW) == "14:00:00"
    assert times.clock_time(NOW - timedelta(days=1), NOW) == "2026-11-29 14:00:00"
