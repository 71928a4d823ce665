"""`POST /webhooks/test`: sends a signed sample at once, so that integrators can check their receiver."""

from __future__ import annotations

import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.api.requests import WebhookTestRequest
from functions.http import body, router
from functions.http.auth import caller_of
from functions.webhooks.callback_check import WEBHOOKS_DISABLED
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.errors import CallbackRefusedError, Problem, RequestInvalidError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.rendering.webhook_json import WebhookBodyJson
    from functions.wiring.api import Handler

_NO_JOB_ID = str(uuid.UUID(int=0))


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])

    @app.post("/webhooks/test")
    def send_sample() -> Response[str]:
        url = body.read(app.current_event, WebhookTestRequest).url
        if wiring.signer is None:
            raise RequestInvalidError([Problem("url", WEBHOOKS_DISABLED)])
        webhook_id = str(uuid.uuid4())
        content = router.to_json(_sample()).encode()
        sent_at = timestamps.to_milliseconds(timestamps.now()) // 1000
        headers = wiring.signer.headers(caller_of(app).owner, webhook_id, sent_at, content)
        try:
            reply = wiring.sender.post(url, content, headers)
        except CallbackRefusedError as refused:
            raise RequestInvalidError([Problem("url", refused.message)]) from None
        router.logger.info(
            "sample sent", action="webhook_sample_sent", status_code=reply.status_code, duration_ms=reply.duration_ms
        )
        answer: responses.WebhookTestResultJson = {
            "delivered": reply.error is None,
            "statusCode": reply.status_code,
            "durationMs": reply.duration_ms,
            "error": reply.error,
            "webhookId": webhook_id,
        }
        return router.json_response(HTTPStatus.OK, answer)

    router.refuse_other_methods(app, {"/webhooks/test": ("POST",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _sample() -> WebhookBodyJson:
    """Make what the end of a job looks like; the event's name and the job's id tell that there is none."""
    now = timestamps.now()
    ended_at = timestamps.to_text(now)
    return {
        "event": "webhook.test",
        "jobId": _NO_JOB_ID,
        "status": JobStatus.SUCCEEDED,
        "workflowId": "sample",
        "result": {"outputs": []},
        "error": None,
        "timing": {
            "createdAt": timestamps.to_text(now - timedelta(seconds=2)),
            "startedAt": timestamps.to_text(now - timedelta(seconds=1)),
            "completedAt": ended_at,
            "executionTimeMs": 900,
        },
        "metadata": {},
        "timestamp": ended_at,
    }


handler = entry_point(make_handler, ApiWiring)
