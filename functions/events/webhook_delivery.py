"""Deliver webhooks: triggered by the queue that the event bus's rule and redelivery requests send to.

A message that has to be tried again is made invisible until then, so nothing waits in this function.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from functions.events.sqs_batch import each_message
from functions.logs import event_logger
from functions.webhooks.deliverer import Deliverer
from functions.wiring.events import EventWiring, entry_point
from gateway.domain.delivery import ATTEMPT_HOLD, backoff_seconds
from gateway.domain.messages import JobEndedEvent

if TYPE_CHECKING:
    from functions.wiring.events import EventFunction
    from gateway.ports import WebhookQueue

_HELD_SECONDS = int(ATTEMPT_HOLD.total_seconds())


def make_function(wiring: EventWiring) -> EventFunction:
    """Make the function that processes a batch of messages."""
    deliverer = Deliverer(wiring.deliveries, wiring.job_view, wiring.signer, wiring.sender, wiring.clock)
    return each_message(_DeliveryProcessor(deliverer, wiring.webhook_queue).process)


class _DeliveryProcessor:
    def __init__(self, deliverer: Deliverer, queue: WebhookQueue) -> None:
        self._deliverer = deliverer
        self._queue = queue

    def process(self, record: dict[str, Any]) -> bool:
        """Make one attempt; return whether the message is finished."""
        try:
            event = JobEndedEvent.model_validate_json(record["body"])
        except ValidationError:
            # Not deleted, so that it ends up in the dead-letter queue: somebody should see it.
            event_logger.error("webhook unreadable", action="webhook_unreadable", message_id=record["messageId"])
            return False
        delay_seconds = self._deliver(event, record["messageId"], int(record["attributes"]["ApproximateReceiveCount"]))
        if delay_seconds is not None:
            self._queue.change_visibility(record["receiptHandle"], delay_seconds)
        return delay_seconds is None

    def _deliver(self, event: JobEndedEvent, message_id: str, tries: int) -> int | None:
        try:
            return self._deliverer.deliver(event, message_id, tries)
        except Exception:  # noqa: BLE001  whatever it was: it is tried again like any other failure
            event_logger.exception(
                "delivery failed unexpectedly",
                action="delivery_broken",
                job_id=event.job_id,
                correlation_id=event.correlation_id,
            )
            return max(_HELD_SECONDS, backoff_seconds(tries, random.random()))  # noqa: S311  no secret


handler = entry_point(make_function)
