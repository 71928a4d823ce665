"""The host's own clock, as the port `Clock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.domain import timestamps

if TYPE_CHECKING:
    from gateway.ports import Clock


class SystemClock:
    """The clock of this host."""

    def now(self) -> datetime:
        """Return the current time, aware and in UTC, to the millisecond: stored and compared values are then equal."""
        return timestamps.whole_milliseconds(datetime.now(UTC))

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
