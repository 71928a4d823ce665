"""Texts of the operations on webhooks, and the description of the webhook itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import JobNotFoundError, StateConflictError
from tools.api_docs import examples
from tools.api_docs.operation import JOB_ID, OperationDoc, ResponseDoc, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

WEBHOOK_OPERATIONS: Mapping[str, OperationDoc] = {
    "listDeliveries": OperationDoc(
        tag=Tag.WEBHOOKS,
        description="Returns every attempt to deliver the webhook of the job: time, response status and error.",
        parameters=(JOB_ID,),
        responses={200: ResponseDoc(description="The delivery attempts.", examples={"two": examples.DELIVERIES})},
        errors=(JobNotFoundError,),
    ),
    "deliverAgain": OperationDoc(
        tag=Tag.WEBHOOKS,
        description="Sends the webhook again, even if it has been delivered before. It has the same `webhook-id` and "
        "the same retry schedule as the first delivery.",
        parameters=(JOB_ID,),
        responses={
            202: ResponseDoc(
                description="The delivery has been requested.", examples={"requested": examples.DELIVERY_REQUESTED}
            )
        },
        errors=(JobNotFoundError, StateConflictError),
    ),
    "testWebhook": OperationDoc(
        tag=Tag.WEBHOOKS,
        description="Sends a signed sample webhook, whose `event` is `webhook.test`, and returns the result within 10 "
        "seconds. The sample is not retried.",
        request_example=examples.WEBHOOK_TEST_REQUEST,
        responses={
            200: ResponseDoc(
                description="The sample was sent. `delivered` is false if the receiver did not accept it.",
                examples={"delivered": examples.WEBHOOK_TEST_RESULT},
            )
        },
    ),
}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": description}


# The request that the gateway sends. https://spec.openapis.org/oas/v3.1.1#oas-webhooks.
WEBHOOKS: dict[str, Any] = {
    "jobEnded": {
        "post": {
            "operationId": "jobEnded",
            "tags": [Tag.WEBHOOKS.value[0]],
            "summary": "A job has ended",
            "description": "Sent to the `callbackUrl` of the job, at least once. Repeats have the same `webhook-id`.",
            "security": [],
            "parameters": [
                _header("webhook-id", "Identifies the event. The same in every delivery of it."),
                _header("webhook-timestamp", "Time of this delivery, in seconds since the epoch."),
                _header(
                    "webhook-signature",
                    "`v1,` and the base64 HMAC-SHA256 signature. Several signatures while secrets are rotated.",
                ),
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
                "410": {"description": "Not delivered, and not retried."},
                "default": {"description": "Not delivered. Retried later."},
            },
        }
    }
}
