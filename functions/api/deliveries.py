"""`/jobs/{id}/deliveries`: what became of a job's webhook, and sending it again."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.http import router
from functions.use_cases.job_visibility import visible_job
from gateway.domain import timestamps
from gateway.domain.job import ended_event_id
from gateway.domain.messages import JobEndedEvent
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

    from functions.api import responses
    from functions.wiring.api import ApiWiring
    from gateway.domain.delivery import DeliveryAttempt


def add_routes(app: APIGatewayRestResolver, wiring: ApiWiring) -> None:
    """Add the routes to those of `/jobs`."""

    @app.get("/jobs/<job_id>/deliveries")
    def list_deliveries(job_id: str) -> Response[str]:
        job = visible_job(app, wiring.jobs, job_id)
        answer: responses.DeliveryListJson = {
            "jobId": job.id,
            "deliveries": [_view(attempt) for attempt in job.delivery.visible_at(timestamps.now()).attempts],
        }
        return router.json_response(HTTPStatus.OK, answer)

    @app.post("/jobs/<job_id>/deliveries")
    def deliver_again(job_id: str) -> Response[str]:
        job = visible_job(app, wiring.jobs, job_id)
        if job.callback_url is None:
            raise StateConflictError("The job has no callbackUrl, so there is no webhook to send.")
        if not job.status.ended:
            raise StateConflictError("The job has not ended yet; its webhook is sent when it has.")
        # In this order a failure in between leaves it pending without a message; the caller hears of it and asks again.
        wiring.deliveries.reopen(job.id)
        wiring.webhook_queue.send(JobEndedEvent.of(job))
        router.logger.info("delivery requested", action="delivery_requested", job_id=job.id)
        answer: responses.DeliveryRequestedJson = {
            "jobId": job.id,
            "webhookId": ended_event_id(job.id),
            "message": "Delivery requested",
        }
        return router.json_response(HTTPStatus.ACCEPTED, answer)


def _view(attempt: DeliveryAttempt) -> responses.DeliveryAttemptJson:
    return {
        "attempt": attempt.number,
        "timestamp": timestamps.to_text(attempt.began_at),
        "durationMs": attempt.duration_ms,
        "statusCode": attempt.status_code,
        "error": attempt.error,
        "nextAttemptAt": None if attempt.next_at is None else timestamps.to_text(attempt.next_at),
    }
