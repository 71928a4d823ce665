"""Delivers webhooks: started by the queue that the rule on the event bus fills, and that resends are put into.

What is to be tried again is hidden in the queue until then, so nothing waits here.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from functions.events.sqs_batch import each_message
from functions.rendering.job_view import JobView
from functions.webhooks.deliverer import Deliverer
from functions.wiring.events import EventWiring, entry_point, logger
from gateway.domain.delivery import ATTEMPT_HOLD, backoff_seconds
from gateway.domain.messages import JobEndedEvent

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler
    from gateway.ports import WebhookQueue

_HELD_SECONDS = int(ATTEMPT_HOLD.total_seconds())


def make_handler(background: EventWiring) -> Handler:
    """Put the function together."""
    view = JobView(background.outputs, background.settings.download_url_seconds)
    deliverer = Deliverer(background.deliveries, view, background.signer, background.sender)
    webhooks = _Webhooks(deliverer, background.webhook_queue)

    def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        return each_message(event, webhooks.deal_with)

    return handler


class _Webhooks:
    def __init__(self, deliverer: Deliverer, queue: WebhookQueue) -> None:
        self._deliverer = deliverer
        self._queue = queue

    def deal_with(self, record: dict[str, Any]) -> bool:
        """Tell whether the message is done with."""
        try:
            event = JobEndedEvent.model_validate_json(record["body"])
        except ValidationError:
            # Left alone, so that the dead-letter queue has it in the end: somebody should see it.
            logger.error("message is no event", action="webhook_unreadable", message_id=record["messageId"])
            return False
        pause = self._deliver(event, record["messageId"], int(record["attributes"]["ApproximateReceiveCount"]))
        if pause is not None:
            self._queue.change_visibility(record["receiptHandle"], pause)
        return pause is None

    def _deliver(self, event: JobEndedEvent, message_id: str, tries: int) -> int | None:
        try:
            return self._deliverer.deliver(event, message_id, tries)
        except Exception:  # noqa: BLE001  whatever it was: it is tried again like any other failure
            logger.exception(
                "delivery broke off",
                action="delivery_broken",
                job_id=event.job_id,
                correlation_id=event.correlation_id,
            )
            return max(_HELD_SECONDS, backoff_seconds(tries, random.random()))  # noqa: S311  no secret hangs on it


handler = entry_point(make_handler)
