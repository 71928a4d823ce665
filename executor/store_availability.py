"""Track whether the stores of files respond, so that an executor receives no jobs during an outage."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.ports import Clock

# After an outage that no job waits for any more: then the next job tries again.
_CLOSED_SECONDS = 30.0


class StoreAvailability:
    """Whether the stores of files respond, as this executor's jobs see it. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting = 0
        self._open_at = 0.0

    @property
    def available(self) -> bool:
        """Whether more jobs can be received: none waits for a store, and the last outage is over or long ago."""
        with self._lock:
            return not self._waiting and self._clock.monotonic() >= self._open_at

    def start_waiting(self) -> None:
        """Count a job that waits for a store."""
        with self._lock:
            self._waiting += 1

    def stop_waiting(self, *, recovered: bool) -> None:
        """Stop counting a job that waited. `recovered`: whether the store responds again."""
        with self._lock:
            self._waiting -= 1
            self._open_at = 0.0 if recovered else self._clock.monotonic() + _CLOSED_SECONDS
