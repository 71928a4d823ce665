"""The retry schedule of webhooks, and the log of delivery attempts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.aws.resources import WEBHOOK_QUEUE
from gateway.domain.delivery import (
    ATTEMPT_HOLD,
    ATTEMPT_SECONDS,
    FUNCTION_SECONDS,
    MAX_DELIVERY_ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    MAX_RETRY_PERIOD_SECONDS,
    RETRY_DELAYS_SECONDS,
    AttemptResult,
    Delivery,
    DeliveryStatus,
    retry_delay_seconds,
)
from gateway.limits import MAX_DELIVERY_LOG_ATTEMPTS, MAX_WEBHOOK_BODY_BYTES

NOW = datetime(2026, 1, 31, 12, 0, 0, 0, UTC)
_SQS_LONGEST_SECONDS = 12 * 3600


def delays(jitter: float) -> list[int]:
    """List the delays of a delivery whose attempts all fail, in seconds."""
    failed = AttemptResult(duration_ms=1, status_code=500)
    found = [retry_delay_seconds(failed, attempt, jitter) for attempt in range(1, MAX_DELIVERY_ATTEMPTS + 1)]
    assert found.pop() is None
    return [delay for delay in found if delay is not None]


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_delays_follow_the_schedule(jitter: float) -> None:
    """Delays grow, differ from the schedule only by the jitter, and end within the documented period."""
    found = delays(jitter)
    assert found == sorted(found)
    for delay, scheduled in zip(found, RETRY_DELAYS_SECONDS, strict=True):
        assert 0.85 < delay / scheduled < 1.25
    assert sum(found) <= MAX_RETRY_PERIOD_SECONDS


def test_webhooks_that_failed_together_are_not_retried_together() -> None:
    """The jitter makes delays differ by up to a third."""
    for short, long in zip(delays(0.0), delays(1.0), strict=True):
        assert long / short == pytest.approx(4 / 3, rel=0.05)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_lengthens_the_delay(status: int) -> None:
    """It never shortens the delay, and never exceeds the longest visibility timeout of SQS."""

    def delay(retry_after_seconds: int) -> int:
        result = AttemptResult(duration_ms=1, status_code=status, error="x", retry_after_seconds=retry_after_seconds)
        found = retry_delay_seconds(result, 1, 0.5)
        assert found is not None
        return found

    scheduled = delays(0.5)[0]
    assert delay(0) == delay(1) == scheduled
    assert delay(100 * scheduled) == 100 * scheduled
    assert delay(10**9) + FUNCTION_SECONDS <= _SQS_LONGEST_SECONDS


def test_retry_after_applies_to_429_and_503_only() -> None:
    """With other statuses the header has another meaning, or none, and is ignored."""
    for status in (200, 301, 404, 500):
        result = AttemptResult(duration_ms=1, status_code=status, retry_after_seconds=10**6)
        assert retry_delay_seconds(result, 1, 0.5) == delays(0.5)[0]


def test_410_is_not_retried() -> None:
    """410 Gone means that the receiver no longer exists."""
    assert retry_delay_seconds(AttemptResult(duration_ms=1, status_code=410, error="x"), 1, 0.5) is None


def test_the_timeouts_are_consistent() -> None:
    """An attempt fits into the function timeout, that into the hold, and six of them into the visibility timeout."""
    assert ATTEMPT_SECONDS < FUNCTION_SECONDS - 5
    assert timedelta(seconds=FUNCTION_SECONDS) < ATTEMPT_HOLD
    assert WEBHOOK_QUEUE.visibility_seconds >= 6 * FUNCTION_SECONDS
    assert WEBHOOK_QUEUE.max_receives == MAX_DELIVERY_ATTEMPTS
    assert WEBHOOK_QUEUE.retention_seconds > MAX_DELIVERY_ATTEMPTS * _SQS_LONGEST_SECONDS


def test_an_interrupted_attempt_is_logged_by_the_next() -> None:
    """The next attempt finds the delivery still held, and logs the earlier one with an error."""
    delivery = Delivery().begun(NOW).begun(NOW + timedelta(minutes=2))
    assert (delivery.attempt_count, delivery.held_since) == (2, NOW + timedelta(minutes=2))
    (interrupted,) = delivery.attempts
    assert (interrupted.number, interrupted.began_at) == (1, NOW)
    assert (interrupted.status_code, interrupted.duration_ms) == (None, None)
    assert interrupted.error


def test_an_interrupted_attempt_is_visible_after_the_hold() -> None:
    """Not while it may still be running; afterwards it is shown, although nothing was written."""
    delivery = Delivery().begun(NOW)
    assert delivery.visible_at(NOW + timedelta(seconds=15)).attempts == ()
    (interrupted,) = delivery.visible_at(NOW + ATTEMPT_HOLD).attempts
    assert (interrupted.number, interrupted.began_at) == (1, NOW)


def test_the_last_attempt_has_not_failed_while_it_runs() -> None:
    """It is stored as failed when it starts, in case it is interrupted, but shown as retrying."""
    delivery = replace(Delivery(), status=DeliveryStatus.FAILED).begun(NOW)
    assert delivery.visible_at(NOW).status is DeliveryStatus.RETRYING
    assert delivery.visible_at(NOW + ATTEMPT_HOLD).status is DeliveryStatus.FAILED
    pending = Delivery().begun(NOW)
    assert pending.visible_at(NOW).status is pending.visible_at(NOW + ATTEMPT_HOLD).status is DeliveryStatus.PENDING


def test_only_the_newest_attempts_are_stored() -> None:
    """The job's item stays small, however often a webhook is sent again; the numbering continues."""
    delivery = Delivery()
    failed = AttemptResult(duration_ms=1, status_code=500, error="x")
    for _ in range(MAX_DELIVERY_LOG_ATTEMPTS + 10):
        delivery = delivery.begun(NOW).ended(failed, NOW, NOW, retry_seconds=10, message_id="m")
    assert [attempt.number for attempt in delivery.attempts] == list(range(11, MAX_DELIVERY_LOG_ATTEMPTS + 11))
    assert delivery.last_status_code == 500


def test_the_webhooks_page_states_the_schedule() -> None:
    """docs/webhooks.md lists the delays, the number of attempts and the limits for receivers."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (schedule,) = re.findall(r"^Retries follow after (.*)$", page, re.MULTILINE)

    def in_largest_unit(seconds: int) -> int:
        return next(seconds // unit for unit in (3600, 60, 1) if seconds >= 2 * unit or unit == 1)

    stated = list(dict.fromkeys(in_largest_unit(seconds) for seconds in RETRY_DELAYS_SECONDS))
    assert [int(number) for number in re.findall(r"\d+", schedule)] == stated
    assert f"{MAX_DELIVERY_ATTEMPTS} attempts" in page
    assert f"within {ATTEMPT_SECONDS} seconds" in page
    assert f"{MAX_WEBHOOK_BODY_BYTES:,} bytes" in page
    assert f"at most {round(MAX_RETRY_AFTER_SECONDS / 3600)} hours" in page
