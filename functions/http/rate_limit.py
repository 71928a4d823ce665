"""Limit how many requests a caller may make: a fixed window, counted in one table for all instances of all functions.

When counting fails, the request fails. Letting it through would gain nothing, because every route needs the same table.
And a client that overloads the counter would bypass the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.ports import Clock, RateLimitStore

_MAX_CACHED = 1000
# The clocks of two instances differ a little: a counter outlives its window by this.
_COUNTER_EXTRA_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a caller may still do in the current window."""

    limit: int
    window_seconds: float
    used: int  # this request included
    resets_at: int  # epoch seconds
    retry_seconds: int  # until then

    @property
    def exceeded(self) -> bool:
        """Whether this request is over the limit."""
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the caller."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str(self.resets_at),
        }
        return {**headers, "Retry-After": str(self.retry_seconds)} if self.exceeded else headers


class RateLimiter:
    """Counts requests. Windows start at multiples of `window_ms` since 1970."""

    def __init__(self, store: RateLimitStore, clock: Clock, *, limit: int, window_ms: int) -> None:
        self._store = store
        self._clock = clock
        self._limit = limit
        self._window_ms = window_ms
        self._used_up: set[tuple[str, int]] = set()  # subjects and windows that need no counting any more

    def count(self, subject: str) -> Allowance:
        """Count one request of a subject, with one call at most."""
        window = self._window()
        if (subject, window) in self._used_up:
            return self._allowance(window, self._limit + 1)
        expires_at = (window + 1) * self._window_ms // 1000 + _COUNTER_EXTRA_SECONDS
        used = self._store.add(subject, window * self._window_ms, expires_at=expires_at)
        if used >= self._limit:
            if len(self._used_up) >= _MAX_CACHED:
                self._used_up.clear()
            self._used_up.add((subject, window))
        return self._allowance(window, used)

    def uncounted(self) -> Allowance:
        """Return what is known without counting, for the response to a request that could not be counted."""
        return self._allowance(self._window(), self._limit)

    def _window(self) -> int:
        return int(self._clock.now().timestamp() * 1000) // self._window_ms

    def _allowance(self, window: int, used: int) -> Allowance:
        ends_at = (window + 1) * self._window_ms / 1000
        return Allowance(
            limit=self._limit,
            window_seconds=self._window_ms / 1000,
            used=used,
            resets_at=math.ceil(ends_at),
            retry_seconds=max(1, math.ceil(ends_at - self._clock.now().timestamp())),
        )
