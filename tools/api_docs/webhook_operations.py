"""Webhooks in words: what the gateway sends, and what can be asked of it about that."""

from __future__ import annotations

from typing import Any

from functions.api import responses
from functions.api.requests import WebhookTestRequest
from gateway.errors import JobNotFoundError, StateConflictError
from tools.api_docs import examples
from tools.api_docs.operation import JOB_ID, Answer, Operation, Request, Tag

WEBHOOK_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/jobs/{jobId}/deliveries",
        id="listDeliveries",
        tag=Tag.WEBHOOKS,
        summary="See what became of a job's webhook",
        description="Every attempt: when, with which answer, and why it failed.",
        parameters=(JOB_ID,),
        answers={
            200: Answer(
                description="The attempts.",
                body=responses.DeliveryListJson,
                examples={"two": examples.DELIVERIES},
            )
        },
        errors=(JobNotFoundError,),
    ),
    Operation(
        method="POST",
        path="/jobs/{jobId}/deliveries",
        id="deliverAgain",
        tag=Tag.WEBHOOKS,
        summary="Send a job's webhook again",
        description="Also one that was delivered. It has the same `webhook-id`, and is retried as the first was.",
        parameters=(JOB_ID,),
        answers={
            202: Answer(
                description="It will be sent.",
                body=responses.DeliveryRequestedJson,
                examples={"requested": examples.DELIVERY_REQUESTED},
            )
        },
        errors=(JobNotFoundError, StateConflictError),
    ),
    Operation(
        method="POST",
        path="/webhooks/test",
        id="testWebhook",
        tag=Tag.WEBHOOKS,
        summary="Try a receiver",
        description="Sends a signed sample, whose `event` is `webhook.test`, and answers with what came of it, within "
        "10 seconds. It is not retried.",
        request=Request(model=WebhookTestRequest, example=examples.WEBHOOK_TEST_REQUEST),
        answers={
            200: Answer(
                description="It was sent, or could not be.",
                body=responses.WebhookTestResultJson,
                examples={"delivered": examples.WEBHOOK_TEST_RESULT},
            )
        },
    ),
)


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}


# What the gateway sends. https://spec.openapis.org/oas/v3.1.1#oas-webhooks.
WEBHOOKS: dict[str, Any] = {
    "jobEnded": {
        "post": {
            "operationId": "jobEnded",
            "tags": [Tag.WEBHOOKS.value[0]],
            "summary": "A job has ended",
            "description": "Sent to the job's `callbackUrl`, at least once. A repeat has the same `webhook-id`.",
            "security": [],
            "parameters": [
                _header("webhook-id", "Names this end of this job, however often it is sent."),
                _header("webhook-timestamp", "When it was sent, in epoch seconds."),
                _header("webhook-signature", "`v1,` and the base64 of an HMAC-SHA256; several while secrets change."),
                _header("X-Signature", "`sha256=` and the hex HMAC-SHA256 of the body."),
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/WebhookBody"},
                        "example": examples.WEBHOOK_BODY,
                    }
                },
            },
            "responses": {
                "2XX": {"description": "Delivered."},
                "410": {"description": "Never send it again."},
                "default": {"description": "It is sent again later, for about a day."},
            },
        }
    }
}
