"""`POST /webhooks/test`: send a signed sample webhook at once."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.api.requests import WebhookTestRequest
from functions.api.routes import ROUTES
from functions.http.body import parse_body
from functions.http.responses import json_response
from functions.use_cases.sample_webhook import send_sample_webhook
from functions.wiring.api import ApiWiring, entry_point

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""

    def handle_test_webhook(request: Request) -> Response[str]:
        url = parse_body(request, WebhookTestRequest).url
        sent = send_sample_webhook(wiring.signer, wiring.sender, wiring.clock, request.caller, url)
        body: responses.WebhookTestResultJson = {
            "delivered": sent.result.error is None,
            "statusCode": sent.result.status_code,
            "durationMs": sent.result.duration_ms,
            "error": sent.result.error,
            "webhookId": sent.webhook_id,
        }
        return json_response(HTTPStatus.OK, body)

    return {"testWebhook": handle_test_webhook}


handler = entry_point("webhook_test", ROUTES, operations, ApiWiring)
