"""A delivery: the webhook that tells of a job's end, and its attempts.

    pending ──attempt──▶ delivered
                 │
                 └─▶ retrying ──attempt──▶ delivered | retrying | failed

Sending it again by hand makes it pending, whatever it was. At most one attempt is under way at a time: it holds the
delivery until it is recorded, or until it is certain that the function that made it has ended. And at most one message
brings the next one: of what the bus repeated, or somebody asked for several times, the rest is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.limits import MAX_DELIVERY_LOG_ATTEMPTS

if TYPE_CHECKING:
    from datetime import datetime


# How long an attempt may take in all: name, connection, TLS, request and answer.
ATTEMPT_SECONDS = 10
# The function has the rest for the record. An attempt that was not recorded by then never will be.
FUNCTION_SECONDS = 20
ATTEMPT_HOLD = timedelta(seconds=30)
# By so much the clocks may differ of the function that said when the next attempt is due, and of the one that makes it.
CLOCK_SKEW = timedelta(seconds=5)

# Between tries: three of them within about a minute, all of them within about a day.
_MINUTE, _HOUR = 60, 3600
RETRY_DELAYS_SECONDS = (10, 30, 90, 5 * _MINUTE, 15 * _MINUTE, 45 * _MINUTE, 2 * _HOUR, *(5 * [4 * _HOUR]))
MAX_DELIVERY_ATTEMPTS = len(RETRY_DELAYS_SECONDS) + 1
# SQS hides a message for 12 hours at most, counted from when it was received.
MAX_RETRY_AFTER_SECONDS = 12 * _HOUR - FUNCTION_SECONDS

_GONE = 410  # "likely to be permanent": https://www.rfc-editor.org/rfc/rfc9110#status.410
_MAY_ASK_FOR_TIME = (429, 503)


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """What came of a POST. `error` is for a person, and None exactly when it was delivered."""

    duration_ms: int
    status_code: int | None = None  # None when there was no answer
    error: str | None = None
    retry_after_seconds: int | None = None  # Retry-After

    @property
    def gone(self) -> bool:
        """Tell whether the receiver wants no more of it."""
        return self.status_code == _GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One POST, or what kept it from being made."""

    number: int  # from 1, over all tries and resends
    began_at: datetime
    duration_ms: int | None = None  # None when it broke off
    status_code: int | None = None  # None when there was no answer
    error: str | None = None  # for the job's owner; None when it was delivered
    next_at: datetime | None = None  # of the next one; None when none will follow by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of one job's end."""

    status: DeliveryStatus = DeliveryStatus.PENDING
    count: int = 0  # attempts begun; the number of the latest is the fencing number of its record
    held_since: datetime | None = None  # when the attempt began that is under way, or that broke off
    due_at: datetime | None = None  # not before then is the next attempt made; None: at once, if there is a message
    message_id: str | None = None  # of the message that comes then
    attempts: tuple[DeliveryAttempt, ...] = ()  # the newest of those that have ended, in order

    @property
    def last_status_code(self) -> int | None:
        """What the last attempt was answered with; None when it was not."""
        return self.attempts[-1].status_code if self.attempts else None

    def is_held(self, now: datetime) -> bool:
        """Tell whether an attempt is under way."""
        return self.held_since is not None and now - self.held_since < ATTEMPT_HOLD

    def begun(self, now: datetime) -> Delivery:
        """Begin an attempt. One that broke off before is logged."""
        return replace(self, count=self.count + 1, held_since=now, attempts=self._with_broken_attempt())

    def visible_at(self, now: datetime) -> Delivery:
        """Return it as its owner sees it.

        It is stored as failed when its last try begins, in case that breaks off: while that goes on, it has not failed.
        """
        if not self.is_held(now):
            return replace(self, attempts=self._with_broken_attempt())
        return replace(self, status=DeliveryStatus.RETRYING) if self.status is DeliveryStatus.FAILED else self

    def _with_broken_attempt(self) -> tuple[DeliveryAttempt, ...]:
        if self.held_since is None:
            return self.attempts
        broken = DeliveryAttempt(
            number=self.count,
            began_at=self.held_since,
            error="The attempt broke off; whether it arrived is not known.",
        )
        return (*self.attempts, broken)[-MAX_DELIVERY_LOG_ATTEMPTS:]

    def ended(
        self, reply: AttemptResult, began_at: datetime, now: datetime, *, pause: int | None, message_id: str
    ) -> Delivery:
        """End the attempt that is under way.

        `pause`: seconds until the message comes again for the next one; None when none will follow by itself.
        """
        due_at = None if pause is None else now + timedelta(seconds=pause)
        attempt = DeliveryAttempt(
            number=self.count,
            began_at=began_at,
            duration_ms=reply.duration_ms,
            status_code=reply.status_code,
            error=reply.error,
            next_at=due_at,
        )
        status = DeliveryStatus.FAILED if due_at is None else DeliveryStatus.RETRYING
        return replace(
            self,
            status=DeliveryStatus.DELIVERED if reply.error is None else status,
            held_since=None,
            due_at=due_at,
            message_id=None if due_at is None else message_id,
            attempts=(*self.attempts, attempt)[-MAX_DELIVERY_LOG_ATTEMPTS:],
        )


NOT_ATTEMPTED = Delivery()


def backoff_seconds(tries: int, spread: float) -> int:
    """Say how long to wait after so many tries of a message.

    `spread`: a random number from 0 to 1, so that what failed together is not all tried together.
    """
    return round(RETRY_DELAYS_SECONDS[min(tries, len(RETRY_DELAYS_SECONDS)) - 1] * (0.9 + 0.3 * spread))


def retry_delay_seconds(reply: AttemptResult, tries: int, spread: float) -> int | None:
    """Say how long to wait after a failed try; None when there is no other. Parameters as of `backoff_seconds`."""
    if reply.gone or tries >= MAX_DELIVERY_ATTEMPTS:
        return None
    pause = backoff_seconds(tries, spread)
    if reply.retry_after_seconds is not None and reply.status_code in _MAY_ASK_FOR_TIME:
        pause = max(pause, min(reply.retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
    return pause
