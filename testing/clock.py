"""A clock that moves only when a test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from gateway.domain import timestamps

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class FakeClock:
    """Implements the port `Clock`. `sleep` returns at once and moves the time. Thread-safe."""

    def __init__(self, start: datetime = START) -> None:
        self._lock = threading.Lock()
        self._start = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return the fake current time, to the millisecond."""
        return timestamps.whole_milliseconds(self._start + timedelta(seconds=self._elapsed))

    def monotonic(self) -> float:
        """Return the seconds by which the clock has moved."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Move the time without waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time."""
        with self._lock:
            self._elapsed += seconds
