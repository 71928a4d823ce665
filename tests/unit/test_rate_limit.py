"""The rate limit: fixed windows, the headers for the caller, and requests that need no counting."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from functions.http.rate_limit import RateLimiter
from testing.clock import FakeClock

START = 1_700_000_040.0  # a multiple of a minute


class Counts:
    """A RateLimitStore in memory."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self.expiries: list[int] = []

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more."""
        self.counts[subject, window_starts_at_ms] += 1
        self.expiries.append(expires_at)
        return self.counts[subject, window_starts_at_ms]


def clock_at(seconds: float) -> FakeClock:
    """Make a clock that shows these epoch seconds."""
    return FakeClock(datetime.fromtimestamp(seconds, UTC))


def test_requests_beyond_the_limit_are_rejected() -> None:
    """Three of four pass a limit of three, and the headers of each contain what remains."""
    limiter = RateLimiter(Counts(), clock_at(START + 1), limit=3, window_ms=60_000)
    allowances = [limiter.count("ada") for _ in range(4)]
    assert [allowance.exceeded for allowance in allowances] == [False, False, False, True]
    assert [allowance.headers["X-RateLimit-Remaining"] for allowance in allowances] == ["2", "1", "0", "0"]
    assert {allowance.headers["X-RateLimit-Limit"] for allowance in allowances} == {"3"}
    assert {allowance.headers["X-RateLimit-Reset"] for allowance in allowances} == {str(int(START) + 60)}
    assert [allowance.headers.get("Retry-After") for allowance in allowances] == [None, None, None, "59"]


def test_every_window_starts_at_zero() -> None:
    """Windows start at multiples of their length, to the millisecond."""
    clock = clock_at(START + 59.999)
    limiter = RateLimiter(Counts(), clock, limit=1, window_ms=60_000)
    assert [limiter.count("ada").exceeded for _ in range(3)] == [False, True, True]
    clock.advance(0.001)
    assert [limiter.count("ada").exceeded for _ in range(2)] == [False, True]


def test_retry_after_is_long_enough() -> None:
    """A caller that waits for Retry-After seconds passes, whatever the length of the window."""
    for window_ms in (1000, 1500, 60_000):
        for part in (0, 0.001, 0.3, 0.999):
            clock = clock_at(START + part * window_ms / 1000)
            limiter = RateLimiter(Counts(), clock, limit=1, window_ms=window_ms)
            limiter.count("ada")
            rejected = limiter.count("ada")
            assert rejected.retry_seconds >= 1
            assert rejected.resets_at - clock.now().timestamp() <= window_ms / 1000 + 1
            clock.advance(rejected.retry_seconds)
            assert not limiter.count("ada").exceeded


def test_callers_do_not_share_a_limit() -> None:
    """A caller that has reached its limit does not affect others."""
    limiter = RateLimiter(Counts(), clock_at(START), limit=1, window_ms=60_000)
    assert [limiter.count(owner).exceeded for owner in ("ada", "ada", "bob")] == [False, True, False]


def test_requests_after_an_exceeded_limit_are_not_counted() -> None:
    """A flood of requests costs at most one table call beyond the limit in each process."""
    counts = Counts()
    processes = [RateLimiter(counts, clock_at(START), limit=5, window_ms=60_000) for _ in range(2)]
    passed = [not processes[number % 2].count("ada").exceeded for number in range(100)]
    assert sum(passed) == 5
    assert counts.counts.total() == 6  # the second process notices it at the sixth


def test_a_counter_expires_soon_after_its_window() -> None:
    """A minute later than its window, because clocks differ."""
    counts = Counts()
    RateLimiter(counts, clock_at(START + 30), limit=1, window_ms=60_000).count("ada")
    assert counts.expiries == [int(START) + 120]


def test_the_memory_of_a_process_is_limited() -> None:
    """It does not grow with the number of callers; they are counted again instead."""
    counts = Counts()
    limiter = RateLimiter(counts, clock_at(START), limit=1, window_ms=60_000)
    for number in range(2500):
        limiter.count(str(number))
    assert len(limiter._used_up) <= 1000
    assert limiter.count("0").exceeded


@pytest.mark.parametrize("limit", [1, 100])
def test_headers_without_a_count(limit: int) -> None:
    """When counting failed, the headers show neither remaining requests nor an exceeded limit."""
    unknown = RateLimiter(Counts(), clock_at(START), limit=limit, window_ms=60_000).uncounted()
    assert unknown.headers == {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(START) + 60),
    }
