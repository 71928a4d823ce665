"""Send a signed sample webhook at once, so that integrators can check their receiver."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.logs import api_logger
from functions.webhooks import payload
from functions.webhooks.callback_check import WEBHOOKS_DISABLED
from gateway.errors import CallbackRefusedError, Problem, RequestInvalidError

if TYPE_CHECKING:
    from functions.webhooks.http_client import WebhookSender
    from functions.webhooks.signing import Signer
    from gateway.domain.delivery import AttemptResult
    from gateway.domain.principal import Principal
    from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class SentSample:
    """A sample that was sent, and the outcome."""

    webhook_id: str
    result: AttemptResult


def send_sample_webhook(
    signer: Signer | None, sender: WebhookSender, clock: Clock, caller: Principal, url: str
) -> SentSample:
    """Send a sample in the name of the caller; `signer` is None when there is no secret to sign with.

    Raises RequestInvalidError when webhooks may not be sent to the URL.
    """
    if signer is None:
        raise RequestInvalidError([Problem("url", WEBHOOKS_DISABLED)])
    webhook_id = str(uuid.uuid4())
    now = clock.now()
    body = payload.sample(caller.owner, now)
    try:
        result = sender.post(url, body, signer.headers(caller.owner, webhook_id, int(now.timestamp()), body))
    except CallbackRefusedError as refused:
        raise RequestInvalidError([Problem("url", refused.message)]) from None
    api_logger.info(
        "sample webhook sent",
        action="webhook_sample_sent",
        status_code=result.status_code,
        duration_ms=result.duration_ms,
    )
    return SentSample(webhook_id, result)
