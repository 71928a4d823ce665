"""List the delivery attempts of a job's webhook, and send the webhook again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.logs import api_logger
from functions.use_cases.get_job import get_job
from gateway.domain.messages import JobEndedEvent
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.delivery import DeliveryAttempt
    from gateway.domain.job import Job
    from gateway.domain.principal import Principal
    from gateway.ports import Clock, DeliveryStore, JobStore, WebhookQueue


def list_deliveries(jobs: JobStore, clock: Clock, caller: Principal, job_id: str) -> Sequence[DeliveryAttempt]:
    """Read the attempts, oldest first. Raises JobNotFoundError."""
    return get_job(jobs, caller, job_id).delivery.visible_at(clock.now()).attempts


def redeliver_webhook(
    jobs: JobStore, deliveries: DeliveryStore, queue: WebhookQueue, caller: Principal, job_id: str
) -> Job:
    """Queue the webhook of an ended job once more, with the same event id.

    Raises JobNotFoundError, and StateConflictError when there is no webhook to send.
    """
    job = get_job(jobs, caller, job_id)
    if job.callback_url is None:
        raise StateConflictError("The job has no callbackUrl, so there is no webhook to send.")
    if not job.status.ended:
        raise StateConflictError("The job has not ended yet. Its webhook is sent when it ends.")
    # In this order: a failure between the two leaves the delivery pending without a message. The caller gets an error
    # and repeats the request.
    deliveries.reopen(job.id)
    queue.send(JobEndedEvent.of(job))
    api_logger.info("delivery requested", action="delivery_requested", job_id=job.id)
    return job
