"""`/jobs/{id}/deliveries`: the delivery attempts of a job's webhook, and sending it again. Served with `/jobs`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.http.responses import json_response
from functions.use_cases.deliveries import list_deliveries, redeliver_webhook
from gateway.domain import timestamps
from gateway.domain.job import ended_event_id

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from functions.wiring.api import ApiWiring
    from gateway.domain.delivery import DeliveryAttempt


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""

    def handle_list_deliveries(request: Request, job_id: str) -> Response[str]:
        attempts = list_deliveries(wiring.jobs, wiring.clock, request.caller, job_id)
        body: responses.DeliveryListJson = {
            "jobId": job_id,
            "deliveries": [_attempt_json(attempt) for attempt in attempts],
        }
        return json_response(HTTPStatus.OK, body)

    def handle_deliver_again(request: Request, job_id: str) -> Response[str]:
        job = redeliver_webhook(wiring.jobs, wiring.deliveries, wiring.webhook_queue, request.caller, job_id)
        body: responses.DeliveryRequestedJson = {
            "jobId": job.id,
            "webhookId": ended_event_id(job.id),
            "message": "Delivery requested",
        }
        return json_response(HTTPStatus.ACCEPTED, body)

    return {"listDeliveries": handle_list_deliveries, "deliverAgain": handle_deliver_again}


def _attempt_json(attempt: DeliveryAttempt) -> responses.DeliveryAttemptJson:
    return {
        "attempt": attempt.number,
        "timestamp": timestamps.to_text(attempt.began_at),
        "durationMs": attempt.duration_ms,
        "statusCode": attempt.status_code,
        "error": attempt.error,
        "nextAttemptAt": None if attempt.next_at is None else timestamps.to_text(attempt.next_at),
    }
