"""One attempt to deliver a job's webhook.

    begin ─▶ POST ─▶ record

A crash before the POST loses nothing. A crash after it loses only the record: the message comes back and the webhook is
sent again, with the same id. `begin` reserves the delivery, so that no two attempts run at the same time, and refuses
messages that arrive before the next attempt is due.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from functions.logs import event_logger  # shared by threads: each line names its job
from functions.metrics import Metric, emit
from functions.webhooks import payload
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
    from functions.webhooks.http_client import WebhookSender
    from functions.webhooks.signing import Signer
    from gateway.domain.delivery import Delivery
    from gateway.domain.job import Job
    from gateway.domain.messages import JobEndedEvent
    from gateway.ports import Clock, DeliveryStore

_HELD_SECONDS = int(ATTEMPT_HOLD.total_seconds())


class Deliverer:
    """Delivers webhooks. `signer` is None when there is no secret to sign with."""

    def __init__(
        self, deliveries: DeliveryStore, view: JobView, signer: Signer | None, sender: WebhookSender, clock: Clock
    ) -> None:
        self._deliveries = deliveries
        self._view = view
        self._signer = signer
        self._sender = sender
        self._clock = clock

    def deliver(self, event: JobEndedEvent, message_id: str, tries: int) -> int | None:
        """Make one attempt; return the seconds until the next one, or None when the message is finished.

        `tries`: how often this message was received, this time included. After the last try the message has to come
        back at once: its queue moves a message that was received too often to the dead-letter queue.
        """
        began_at = self._clock.now()
        try:
            job = self._deliveries.begin(event.job_id, now=began_at, last=tries >= MAX_DELIVERY_ATTEMPTS)
        except DeliveryNotDueError as refused:
            return self._not_due(event, refused.job, message_id)
        delivery = job.delivery.begun(began_at)
        reply = self._post(job, event.event_id)
        delay_seconds = None if reply.error is None else retry_delay_seconds(reply, tries, random.random())  # noqa: S311  no secret
        ended = delivery.ended(reply, began_at, self._clock.now(), retry_seconds=delay_seconds, message_id=message_id)
        try:
            self._deliveries.record(job.id, ended)
        except LeaseLostError:
            event_logger.warning(
                "delivery lost to another attempt",
                action="delivery_lost",
                job_id=event.job_id,
                correlation_id=event.correlation_id,
            )
            return _HELD_SECONDS
        event_logger.info(
            "webhook attempted",
            action="webhook_attempted",
            job_id=event.job_id,
            correlation_id=event.correlation_id,
            status=ended.status,
            attempt=ended.attempt_count,
            status_code=reply.status_code,
            duration_ms=reply.duration_ms,
            error=reply.error,
            retry_in_seconds=delay_seconds,
        )
        emit({Metric.WEBHOOK_ATTEMPTS: 1, Metric.WEBHOOK_ATTEMPTS_FAILED: int(reply.error is not None)})
        if reply.error is None or reply.gone:
            return None
        return delay_seconds or 0

    def _post(self, job: Job, webhook_id: str) -> AttemptResult:
        if self._signer is None:
            return AttemptResult(duration_ms=0, error="The gateway has no secret to sign webhooks with.")
        now = self._clock.now()
        body = payload.write(self._view, job, now)
        headers = self._signer.headers(job.owner, webhook_id, int(now.timestamp()), body)
        try:
            return self._sender.post(str(job.callback_url), body, headers)
        except CallbackRefusedError as refused:
            return AttemptResult(duration_ms=0, error=refused.message)

    def _not_due(self, event: JobEndedEvent, job: Job | None, message_id: str) -> int | None:
        """Return the seconds until the message has to come back, or None when it is not needed."""
        seconds = None if job is None or job.callback_url is None else self._seconds_until_due(job.delivery, message_id)
        event_logger.info(
            "delivery not due",
            action="delivery_not_due",
            job_id=event.job_id,
            correlation_id=event.correlation_id,
            retry_in_seconds=seconds,
        )
        return seconds

    def _seconds_until_due(self, delivery: Delivery, message_id: str) -> int | None:
        if delivery.status is DeliveryStatus.DELIVERED:
            return None
        now = self._clock.now()
        due_at = delivery.due_at if delivery.status is DeliveryStatus.RETRYING else None
        if due_at is None or due_at <= now or delivery.is_held(now):
            # Another attempt is running. Or the response to our own `begin` was lost and boto3 repeated it: that
            # costs half a minute, and no second POST.
            return _HELD_SECONDS
        if delivery.message_id != message_id:
            return None  # a duplicate: another message comes when it is due
        return math.ceil((due_at - now).total_seconds())
