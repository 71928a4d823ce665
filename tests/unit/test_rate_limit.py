"""Behaviour of the rate limit: fixed windows, what is told, and when it is not even counted."""

from __future__ import annotations

from collections import Counter

import pytest

from functions.http.rate_limit import RateLimiter

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


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_the_limit_is_what_passes() -> None:
    """Three of four pass a limit of three, and each is told what is left."""
    limiter = RateLimiter(Counts(), limit=3, window_ms=60_000, clock=Clock(START + 1))
    allowances = [limiter.count("ada") for _ in range(4)]
    assert [allowance.exceeded for allowance in allowances] == [False, False, False, True]
    assert [allowance.headers["X-RateLimit-Remaining"] for allowance in allowances] == ["2", "1", "0", "0"]
    assert {allowance.headers["X-RateLimit-Limit"] for allowance in allowances} == {"3"}
    assert {allowance.headers["X-RateLimit-Reset"] for allowance in allowances} == {str(int(START) + 60)}
    assert [allowance.headers.get("Retry-After") for allowance in allowances] == [None, None, None, "59"]


def test_every_window_begins_anew() -> None:
    """To the millisecond, at multiples of the window's length."""
    clock = Clock(START + 59.999)
    limiter = RateLimiter(Counts(), limit=1, window_ms=60_000, clock=clock)
    assert [limiter.count("ada").exceeded for _ in range(3)] == [False, True, True]
    clock.now = START + 60
    assert [limiter.count("ada").exceeded for _ in range(2)] == [False, True]


def test_waiting_as_told_is_enough() -> None:
    """Whoever waits for Retry-After seconds, or until the reset, is let through, whatever the window's length."""
    for window_ms in (1000, 1500, 60_000):
        for part in (0, 0.001, 0.3, 0.999):
            clock = Clock(START + part * window_ms / 1000)
            limiter = RateLimiter(Counts(), limit=1, window_ms=window_ms, clock=clock)
            limiter.count("ada")
            refused = limiter.count("ada")
            assert refused.retry_seconds >= 1
            assert refused.resets_at - clock.now <= window_ms / 1000 + 1
            clock.now = max(clock.now + refused.retry_seconds, refused.resets_at)
            assert not limiter.count("ada").exceeded


def test_callers_do_not_share_a_limit() -> None:
    """One that has used up its own takes nothing from another."""
    limiter = RateLimiter(Counts(), limit=1, window_ms=60_000, clock=Clock())
    assert [limiter.count(who).exceeded for who in ("ada", "ada", "bob")] == [False, True, False]


def test_a_window_known_to_be_used_up_is_not_counted() -> None:
    """A flood costs calls only until the limit, in each process that it meets."""
    counts = Counts()
    processes = [RateLimiter(counts, limit=5, window_ms=60_000, clock=Clock()) for _ in range(2)]
    passed = [not processes[number % 2].count("ada").exceeded for number in range(100)]
    assert sum(passed) == 5
    assert counts.counts.total() == 6  # the second process learns of it from the sixth


def test_a_counter_is_gone_soon_after_its_window() -> None:
    """It outlives the window a little, as clocks differ."""
    counts = Counts()
    RateLimiter(counts, limit=1, window_ms=60_000, clock=Clock(START + 30)).count("ada")
    assert counts.expiries == [int(START) + 120]


def test_what_is_remembered_is_bounded() -> None:
    """However many callers there are, memory does not grow; they are counted again instead."""
    counts = Counts()
    limiter = RateLimiter(counts, limit=1, window_ms=60_000, clock=Clock())
    for number in range(2500):
        limiter.count(str(number))
    assert len(limiter._used_up) <= 1000
    assert limiter.count("0").exceeded


@pytest.mark.parametrize("limit", [1, 100])
def test_an_unknown_count_promises_nothing(limit: int) -> None:
    """When it could not be counted, the answer says neither that something is left nor that it was one too many."""
    unknown = RateLimiter(Counts(), limit=limit, window_ms=60_000, clock=Clock()).unknown()
    assert unknown.headers == {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(START) + 60),
    }
