"""Estimate how long a new job will take, from the executors' last heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.use_cases.executors import recent_heartbeats
from gateway.domain.executor import HEARTBEAT_SECONDS, eta_seconds

if TYPE_CHECKING:
    from gateway.ports import Clock, ExecutorStore


class EtaEstimator:
    """Estimates. Reads the heartbeats no more often than they are written: most submissions cost no call."""

    def __init__(self, executors: ExecutorStore, clock: Clock) -> None:
        self._executors = executors
        self._clock = clock
        self._seconds = 0
        self._valid_until = float("-inf")

    def eta_seconds(self) -> int:
        """Return the estimated seconds until a job accepted now has ended; 0 when the system is idle."""
        if self._clock.monotonic() >= self._valid_until:
            self._seconds = eta_seconds(recent_heartbeats(self._executors, self._clock))
            self._valid_until = self._clock.monotonic() + HEARTBEAT_SECONDS
        return self._seconds
