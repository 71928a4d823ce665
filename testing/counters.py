"""Counts of requests and of jobs in memory."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from gateway.domain.job_counts import DailyJobCounts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from gateway.ports import Clock

_BATCH_IDS_KNOWN_SECONDS = 600


class InMemoryRateLimitStore:
    """Implements the port `RateLimitStore`. Thread-safe. Counts never expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int]] = Counter()

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more request of this subject in this window; return the count."""
        del expires_at
        with self._lock:
            self._counts[subject, window_starts_at_ms] += 1
            return self._counts[subject, window_starts_at_ms]


class InMemoryJobCountStore:
    """Implements the port `JobCountStore`. Thread-safe. Counts never expire."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[date, DailyJobCounts] = {}
        self._batch_ids: dict[str, float] = {}  # and when each was added

    def add(self, differences: Mapping[date, DailyJobCounts], *, batch_id: str) -> None:
        """Change the counts of several days, unless the same batch was added within the last ten minutes."""
        now = self._clock.monotonic()
        with self._lock:
            added_at = self._batch_ids.get(batch_id)
            if added_at is not None and now - added_at < _BATCH_IDS_KNOWN_SECONDS:
                return
            self._batch_ids[batch_id] = now
            for day, difference in differences.items():
                self._counts.setdefault(day, DailyJobCounts()).update(difference)

    def since(self, day: date) -> Mapping[date, DailyJobCounts]:
        """Read the counts of this day and of later ones."""
        with self._lock:
            return {each: DailyJobCounts(counts) for each, counts in sorted(self._counts.items()) if each >= day}
