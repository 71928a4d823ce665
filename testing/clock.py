"""A clock that moves only when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FakeClock:
    """Implements the port `Clock`. `sleep` returns at once and moves the time."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the fake current time."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds by which the clock has moved."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Move the time without waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time."""
        self._elapsed += seconds
