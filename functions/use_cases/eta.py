"""How long a new job will take, from what the executors last reported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.executor import HEARTBEAT_MAX_AGE, HEARTBEAT_SECONDS, eta_seconds

if TYPE_CHECKING:
    from gateway.ports import ExecutorStore


class Estimator:
    """Estimates, reading the reports no more often than they are written: most submissions cost no call."""

    def __init__(self, executors: ExecutorStore) -> None:
        self._executors = executors
        self._seconds = 0
        self._good_until = 0.0

    def eta_seconds(self) -> int:
        """Estimate the seconds until a job accepted now has ended; 0 when the system is idle."""
        if time.monotonic() >= self._good_until:
            self._seconds = eta_seconds(self._executors.heartbeats(since=timestamps.now() - HEARTBEAT_MAX_AGE))
            self._good_until = time.monotonic() + HEARTBEAT_SECONDS
        return self._seconds
