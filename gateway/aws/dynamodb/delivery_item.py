"""A job's webhook delivery as attributes of the job's item: reading the job reads it too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes
from gateway.domain import timestamps
from gateway.domain.delivery import Delivery, DeliveryAttempt, DeliveryStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


def read(fields: Mapping[str, Any]) -> Delivery:
    """Read the delivery from a job's attributes; it is pending when none was begun."""
    return Delivery(
        status=DeliveryStatus(fields.get("deliveryStatus", DeliveryStatus.PENDING)),
        attempt_count=fields.get("deliveryCount", 0),
        held_since=_moment(fields.get("deliveryHeldSince")),
        due_at=_moment(fields.get("deliveryDueAt")),
        message_id=fields.get("deliveryMessage"),
        attempts=tuple(_read_attempt(*attempt) for attempt in json.loads(fields.get("deliveryLog", "[]"))),
    )


def due_fields(delivery: Delivery) -> attributes.Fields:
    """Return the attributes of the next attempt: when it is due and which message brings it; none if none is due."""
    if delivery.due_at is None:
        return {}
    return {"deliveryDueAt": timestamps.to_milliseconds(delivery.due_at), "deliveryMessage": delivery.message_id}


def log_text(delivery: Delivery) -> str:
    """Serialize the attempts as lists: names would take more space than the values."""
    return attributes.to_json(
        [
            [
                attempt.number,
                timestamps.to_milliseconds(attempt.began_at),
                attempt.duration_ms,
                attempt.status_code,
                attempt.error,
                None if attempt.next_at is None else timestamps.to_milliseconds(attempt.next_at),
            ]
            for attempt in delivery.attempts
        ]
    )


def _read_attempt(  # noqa: PLR0913, PLR0917  in the order that log_text writes them
    number: int,
    began_at: int,
    duration_ms: int | None,
    status_code: int | None,
    error: str | None,
    next_at: int | None,
) -> DeliveryAttempt:
    return DeliveryAttempt(
        number=number,
        began_at=timestamps.from_milliseconds(began_at),
        duration_ms=duration_ms,
        status_code=status_code,
        error=error,
        next_at=_moment(next_at),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else timestamps.from_milliseconds(milliseconds)
