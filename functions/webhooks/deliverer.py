"""One try to deliver the webhook of a job's end.

    begin ─▶ POST ─▶ record

A crash before the POST loses nothing, and one after it only the knowledge of it: the message comes again and the
webhook is sent again, with the same id. `begin` holds the delivery, so that no two attempts are under way at a time,
and refuses messages that come before the next one is due.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from functions.metrics import Metric, emit
from functions.webhooks import payload
from functions.wiring.events import logger  # shared by threads: each line names what it is about
from gateway.domain import timestamps
from gateway.domain.delivery import (
    ATTEMPT_HOLD,
    MAX_DELIVERY_ATTEMPTS,
    AttemptResult,
    DeliveryStatus,
    retry_delay_seconds,
)
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import CallbackRefusedError, LeaseLostError

if TYPE_CHECKING:
    from functions.rendering.job_view import JobView
    from functions.webhooks.http_client import Sender
    from functions.webhooks.signing import Signer
    from gateway.domain.delivery import Delivery
    from gateway.domain.job import Job
    from gateway.domain.messages import JobEndedEvent
    from gateway.ports import DeliveryStore

_HELD_SECONDS = int(ATTEMPT_HOLD.total_seconds())


class Deliverer:
    """Delivers. `signer` is None when there is no secret to sign with."""

    def __init__(self, deliveries: DeliveryStore, view: JobView, signer: Signer | None, sender: Sender) -> None:
        self._deliveries = deliveries
        self._view = view
        self._signer = signer
        self._sender = sender

    def deliver(self, event: JobEndedEvent, message_id: str, tries: int) -> int | None:
        """Try once; return the seconds after which to try again, or None when there is nothing left to do.

        `tries`: of this message, this one included. The last one is to come back at once: its queue has a
        dead-letter queue, which takes what comes once too often.
        """
        began_at = timestamps.now()
        try:
            job = self._deliveries.begin(event.job_id, now=began_at, last=tries >= MAX_DELIVERY_ATTEMPTS)
        except DeliveryNotDueError as refused:
            return _not_due(event, refused.job, message_id)
        delivery = job.delivery.begun(began_at)
        reply = self._post(job, event.event_id)
        pause = None if reply.error is None else retry_delay_seconds(reply, tries, random.random())  # noqa: S311  no secret
        ended = delivery.ended(reply, began_at, timestamps.now(), pause=pause, message_id=message_id)
        try:
            self._deliveries.record(job.id, ended)
        except LeaseLostError:
            logger.warning(
                "delivery lost to another attempt",
                action="delivery_lost",
                job_id=event.job_id,
                correlation_id=event.correlation_id,
            )
            return _HELD_SECONDS
        logger.info(
            "webhook attempted",
            action="webhook_attempted",
            job_id=event.job_id,
            correlation_id=event.correlation_id,
            status=ended.status,
            attempt=ended.count,
            status_code=reply.status_code,
            duration_ms=reply.duration_ms,
            error=reply.error,
            again_in_seconds=pause,
        )
        emit({Metric.WEBHOOK_ATTEMPTS: 1, Metric.WEBHOOK_ATTEMPTS_FAILED: int(reply.error is not None)})
        if reply.error is None or reply.gone:
            return None
        return pause or 0

    def _post(self, job: Job, webhook_id: str) -> AttemptResult:
        if self._signer is None:
            return AttemptResult(duration_ms=0, error="The gateway has no secret to sign webhooks with.")
        body = payload.write(self._view, job)
        headers = self._signer.headers(
            job.owner, webhook_id, timestamps.to_milliseconds(timestamps.now()) // 1000, body
        )
        try:
            return self._sender.post(str(job.callback_url), body, headers)
        except CallbackRefusedError as refused:
            return AttemptResult(duration_ms=0, error=refused.message)


def _not_due(event: JobEndedEvent, job: Job | None, message_id: str) -> int | None:
    """Return the seconds after which to look again, or None when the message is not needed."""
    seconds = None if job is None or job.callback_url is None else _seconds_until_due(job.delivery, message_id)
    logger.info(
        "no attempt is due",
        action="delivery_not_due",
        job_id=event.job_id,
        correlation_id=event.correlation_id,
        again_in_seconds=seconds,
    )
    return seconds


def _seconds_until_due(delivery: Delivery, message_id: str) -> int | None:
    if delivery.status is DeliveryStatus.DELIVERED:
        return None
    now = timestamps.now()
    due_at = delivery.due_at if delivery.status is DeliveryStatus.RETRYING else None
    if due_at is None or due_at <= now or delivery.is_held(now):
        # An attempt is under way. Or the answer to our own `begin` was lost, and boto3 repeated it: that costs half a
        # minute, and no second POST.
        return _HELD_SECONDS
    if delivery.message_id != message_id:
        return None  # a duplicate: another message comes when it is due
    return math.ceil((due_at - now).total_seconds())
