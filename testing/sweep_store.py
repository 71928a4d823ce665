"""The sweeper's state in memory."""

from __future__ import annotations

import threading
from dataclasses import replace

from gateway.domain.lost_jobs import SweepState


class InMemorySweepStore:
    """Implements the port `SweepStore`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = SweepState()

    def read(self) -> SweepState:
        """Read the state of the last run."""
        return self._state

    def write(self, sweep: SweepState) -> SweepState | None:
        """Write this run's state; None when another run wrote since it was read."""
        with self._lock:
            if sweep.version != self._state.version:
                return None
            self._state = replace(sweep, version=sweep.version + 1)
            return self._state
