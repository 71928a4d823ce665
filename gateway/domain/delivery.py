"""The delivery of a job's webhook, and its attempts.

    pending ──attempt──▶ delivered
                 │
                 └─▶ retrying ──attempt──▶ delivered | retrying | failed

Sending a webhook again by hand makes its delivery pending, whatever it was. At most one attempt runs at a time: it
holds the delivery until it is recorded, or until the function that made it must have ended. And at most one message
brings the next attempt: further messages, from a repeated event or several requests to send it again, are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from gateway.limits import MAX_DELIVERY_LOG_ATTEMPTS

if TYPE_CHECKING:
    from datetime import datetime

# Of a whole attempt: DNS, connection, TLS, request and response.
ATTEMPT_SECONDS = 10
# The rest is for recording the attempt. An attempt that is not recorded by then never will be.
FUNCTION_SECONDS = 20
ATTEMPT_HOLD = timedelta(seconds=30)
# Allowed clock difference between the function that schedules an attempt and the one that makes it.
CLOCK_SKEW = timedelta(seconds=5)

# The retry schedule: the delays between attempts. docs/webhooks.md states it; everything else derives from it.
_MINUTE, _HOUR = 60, 3600
RETRY_DELAYS_SECONDS = (10, 30, 90, 5 * _MINUTE, 15 * _MINUTE, 45 * _MINUTE, 2 * _HOUR, *(5 * [4 * _HOUR]))
MAX_DELIVERY_ATTEMPTS = len(RETRY_DELAYS_SECONDS) + 1
_MIN_JITTER, _MAX_JITTER = 0.9, 1.2  # factors on each delay
MAX_RETRY_PERIOD_SECONDS = round(_MAX_JITTER * sum(RETRY_DELAYS_SECONDS))  # from the first attempt to the last
# The longest visibility timeout of SQS is 12 hours, counted from the receive.
MAX_RETRY_AFTER_SECONDS = 12 * _HOUR - FUNCTION_SECONDS

_GONE = 410  # "likely to be permanent": https://www.rfc-editor.org/rfc/rfc9110#status.410
_RETRY_AFTER_STATUSES = (429, 503)


class DeliveryStatus(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """The result of one POST. `error` is for the job's owner, and None exactly when the webhook was delivered."""

    duration_ms: int
    status_code: int | None = None  # None when there was no response
    error: str | None = None
    retry_after_seconds: int | None = None  # from the header Retry-After

    @property
    def gone(self) -> bool:
        """Return whether the receiver wants no further webhooks."""
        return self.status_code == _GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAttempt:
    """One POST, or the reason why it could not be made."""

    number: int  # from 1, over all retries and all times it was sent again by hand
    began_at: datetime
    duration_ms: int | None = None  # None when the attempt was interrupted
    status_code: int | None = None  # None when there was no response
    error: str | None = None  # for the job's owner; None when the webhook was delivered
    next_at: datetime | None = None  # of the next attempt; None when none is scheduled


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of one job's webhook."""

    status: DeliveryStatus = DeliveryStatus.PENDING
    attempt_count: int = 0  # attempts begun; the number of the latest is the fencing number of its record
    held_since: datetime | None = None  # when the attempt began that is running, or that was interrupted
    due_at: datetime | None = None  # the next attempt is made no earlier; None: as soon as there is a message
    message_id: str | None = None  # of the message that brings the next attempt
    attempts: tuple[DeliveryAttempt, ...] = ()  # the newest of those that have ended, in order

    @property
    def last_status_code(self) -> int | None:
        """The status of the last attempt's response; None when there was none."""
        return self.attempts[-1].status_code if self.attempts else None

    def is_held(self, now: datetime) -> bool:
        """Return whether an attempt is running."""
        return self.held_since is not None and now - self.held_since < ATTEMPT_HOLD

    def begun(self, now: datetime) -> Delivery:
        """Begin an attempt. An earlier one that was interrupted is logged."""
        return replace(
            self, attempt_count=self.attempt_count + 1, held_since=now, attempts=self._with_interrupted_attempt()
        )

    def visible_at(self, now: datetime) -> Delivery:
        """Return the delivery as its owner sees it.

        It is stored as failed when its last attempt begins, in case that is interrupted; while the attempt runs, the
        delivery has not failed.
        """
        if not self.is_held(now):
            return replace(self, attempts=self._with_interrupted_attempt())
        return replace(self, status=DeliveryStatus.RETRYING) if self.status is DeliveryStatus.FAILED else self

    def _with_interrupted_attempt(self) -> tuple[DeliveryAttempt, ...]:
        if self.held_since is None:
            return self.attempts
        interrupted = DeliveryAttempt(
            number=self.attempt_count,
            began_at=self.held_since,
            error="The attempt was interrupted; whether the webhook arrived is not known.",
        )
        return (*self.attempts, interrupted)[-MAX_DELIVERY_LOG_ATTEMPTS:]

    def ended(
        self, result: AttemptResult, began_at: datetime, now: datetime, *, retry_seconds: int | None, message_id: str
    ) -> Delivery:
        """End the running attempt.

        `retry_seconds`: until the message is received again for the next attempt; None when none is scheduled.
        """
        due_at = None if retry_seconds is None else now + timedelta(seconds=retry_seconds)
        attempt = DeliveryAttempt(
            number=self.attempt_count,
            began_at=began_at,
            duration_ms=result.duration_ms,
            status_code=result.status_code,
            error=result.error,
            next_at=due_at,
        )
        status = DeliveryStatus.FAILED if due_at is None else DeliveryStatus.RETRYING
        return replace(
            self,
            status=DeliveryStatus.DELIVERED if result.error is None else status,
            held_since=None,
            due_at=due_at,
            message_id=None if due_at is None else message_id,
            attempts=(*self.attempts, attempt)[-MAX_DELIVERY_LOG_ATTEMPTS:],
        )


NOT_ATTEMPTED = Delivery()


def backoff_seconds(attempt: int, jitter: float) -> int:
    """Return the delay after the given attempt of a message, counted from 1.

    `jitter`: a random number from 0 to 1, so that webhooks that failed together are not all retried together.
    """
    delay = RETRY_DELAYS_SECONDS[min(attempt, len(RETRY_DELAYS_SECONDS)) - 1]
    return round(delay * (_MIN_JITTER + (_MAX_JITTER - _MIN_JITTER) * jitter))


def retry_delay_seconds(result: AttemptResult, attempt: int, jitter: float) -> int | None:
    """Return the delay after a failed attempt; None when it is not retried. Parameters as for `backoff_seconds`."""
    if result.gone or attempt >= MAX_DELIVERY_ATTEMPTS:
        return None
    delay = backoff_seconds(attempt, jitter)
    if result.retry_after_seconds is not None and result.status_code in _RETRY_AFTER_STATUSES:
        delay = max(delay, min(result.retry_after_seconds, MAX_RETRY_AFTER_SECONDS))
    return delay
