"""When a webhook is tried again, and what is remembered of its attempts."""

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
    RETRY_DELAYS_SECONDS,
    AttemptResult,
    Delivery,
    DeliveryStatus,
    retry_delay_seconds,
)
from gateway.limits import MAX_DELIVERY_LOG_ATTEMPTS, MAX_WEBHOOK_BODY_BYTES

NOW = datetime(2026, 1, 31, 12, 0, 0, 0, UTC)
_SQS_LONGEST_SECONDS = 12 * 3600


def pauses(spread: float) -> list[int]:
    """List the pauses of a delivery that never works, without the last None."""
    found = [
        retry_delay_seconds(AttemptResult(duration_ms=1, status_code=500), tries, spread)
        for tries in range(1, MAX_DELIVERY_ATTEMPTS + 1)
    ]
    assert found.pop() is None
    return [pause for pause in found if pause is not None]


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_three_tries_within_a_minute_and_the_rest_within_about_a_day(spread: float) -> None:
    """Each pause is at least as long as the one before, and the last try is about 24 hours after the first."""
    found = pauses(spread)
    assert len(found) == MAX_DELIVERY_ATTEMPTS - 1
    assert sum(found[:2]) <= 60
    assert found == sorted(found)
    assert 0.85 < sum(found) / (24 * 3600) < 1.2


def test_what_failed_together_is_not_tried_together() -> None:
    """Pauses differ by a third."""
    for short, long in zip(pauses(0.0), pauses(1.0), strict=True):
        assert long / short == pytest.approx(4 / 3, rel=0.05)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_may_ask_for_time(status: int) -> None:
    """It never shortens a pause, and lengthens it to what SQS can hide a message for at most."""

    def pause(retry_after_seconds: int) -> int:
        reply = AttemptResult(duration_ms=1, status_code=status, error="x", retry_after_seconds=retry_after_seconds)
        found = retry_delay_seconds(reply, 1, 0.5)
        assert found is not None
        return found

    assert pause(0) == pause(1) < 15
    assert pause(600) == 600
    assert pause(10**9) + FUNCTION_SECONDS <= _SQS_LONGEST_SECONDS


def test_only_429_and_503_may_ask_for_time() -> None:
    """Retry-After means something else with other answers, if anything."""
    for status in (200, 301, 404, 500):
        pause = retry_delay_seconds(AttemptResult(duration_ms=1, status_code=status, retry_after_seconds=600), 1, 0.5)
        assert pause is not None
        assert pause < 15


def test_410_ends_it() -> None:
    """The receiver is gone for good."""
    assert retry_delay_seconds(AttemptResult(duration_ms=1, status_code=410, error="x"), 1, 0.5) is None


def test_the_times_fit_into_each_other() -> None:
    """An attempt fits into the function's time, that into the hold, and six times that into the queue's."""
    assert ATTEMPT_SECONDS < FUNCTION_SECONDS - 5
    assert timedelta(seconds=FUNCTION_SECONDS) < ATTEMPT_HOLD
    assert WEBHOOK_QUEUE.visibility_seconds >= 6 * FUNCTION_SECONDS
    assert WEBHOOK_QUEUE.max_receives == MAX_DELIVERY_ATTEMPTS
    assert WEBHOOK_QUEUE.retention_seconds > MAX_DELIVERY_ATTEMPTS * _SQS_LONGEST_SECONDS


def test_an_attempt_that_broke_off_is_told() -> None:
    """The next one finds the delivery held, and logs the one before."""
    delivery = Delivery().begun(NOW).begun(NOW + timedelta(minutes=2))
    assert (delivery.count, delivery.held_since) == (2, NOW + timedelta(minutes=2))
    (broken,) = delivery.attempts
    assert (broken.number, broken.began_at, broken.status_code, broken.duration_ms) == (1, NOW, None, None)
    assert broken.error == "The attempt broke off; whether it arrived is not known."


def test_an_attempt_that_broke_off_is_seen_before_there_is_another() -> None:
    """Not while it is under way, and from then on, though nothing was written."""
    delivery = Delivery().begun(NOW)
    assert delivery.visible_at(NOW + timedelta(seconds=15)).attempts == ()
    (broken,) = delivery.visible_at(NOW + ATTEMPT_HOLD).attempts
    assert (broken.number, broken.began_at) == (1, NOW)


def test_a_last_try_has_not_failed_while_it_goes_on() -> None:
    """It is stored as failed when it begins, in case it breaks off."""
    delivery = replace(Delivery(), status=DeliveryStatus.FAILED).begun(NOW)
    assert delivery.visible_at(NOW).status is DeliveryStatus.RETRYING
    assert delivery.visible_at(NOW + ATTEMPT_HOLD).status is DeliveryStatus.FAILED
    pending = Delivery().begun(NOW)
    assert pending.visible_at(NOW).status is pending.visible_at(NOW + ATTEMPT_HOLD).status is DeliveryStatus.PENDING


def test_the_newest_attempts_are_kept() -> None:
    """However often it is sent again, the record stays small; numbers go on."""
    delivery = Delivery()
    for _ in range(MAX_DELIVERY_LOG_ATTEMPTS + 10):
        delivery = delivery.begun(NOW)
        delivery = delivery.ended(
            AttemptResult(duration_ms=1, status_code=500, error="x"), NOW, NOW, pause=10, message_id="m"
        )
    assert [attempt.number for attempt in delivery.attempts] == list(range(11, MAX_DELIVERY_LOG_ATTEMPTS + 11))
    assert delivery.last_status_code == 500


def test_the_webhooks_page_states_the_schedule() -> None:
    """docs/webhooks.md lists the delays, the number of attempts and the limits that receivers meet."""
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (schedule,) = re.findall(r"^Retries follow after (.*)$", page, re.MULTILINE)

    def in_largest_unit(seconds: int) -> int:
        return next(seconds // unit for unit in (3600, 60, 1) if seconds >= 2 * unit or unit == 1)

    delays = list(dict.fromkeys(in_largest_unit(seconds) for seconds in RETRY_DELAYS_SECONDS))
    assert [int(number) for number in re.findall(r"\d+", schedule)] == delays
    assert f"{MAX_DELIVERY_ATTEMPTS} attempts" in page
    assert f"within {ATTEMPT_SECONDS} seconds" in page
    assert f"{MAX_WEBHOOK_BODY_BYTES:,} bytes" in page
    assert f"at most {round(MAX_RETRY_AFTER_SECONDS / 3600)} hours" in page
