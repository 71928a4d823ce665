"""The body of a webhook: a job that has ended, or a sample."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.domain.principal import owner_hash
from gateway.limits import MAX_WEBHOOK_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from functions.rendering.job_json import OutputJson
    from functions.rendering.job_view import JobView
    from functions.rendering.webhook_json import WebhookBodyJson, WebhookOutcomeJson
    from gateway.domain.job import Job

_SAMPLE_JOB_ID = str(uuid.UUID(int=0))


def write(view: JobView, job: Job, now: datetime) -> bytes:
    """Render an ended job, with new download URLs. Outputs that would make the body too large are left out."""
    viewed = view.job(job)
    body: WebhookBodyJson = {
        "event": f"job.{job.status}",
        "jobId": viewed["jobId"],
        "status": viewed["status"],
        "workflowId": viewed["workflowId"],
        "owner": owner_hash(job.owner),
        "result": None if viewed["outputs"] is None else {"outputs": viewed["outputs"]},
        "error": viewed["error"],
        "timing": viewed["timing"],
        "metadata": viewed["metadata"],
        "timestamp": timestamps.to_text(job.completed_at or now),
    }
    if viewed["outputs"] is not None and len(_encoded(body)) > MAX_WEBHOOK_BODY_BYTES:
        result: WebhookOutcomeJson = {
            "outputs": [],
            "cut": {"total": len(viewed["outputs"]), "url": f"/outputs/{job.id}"},
        }
        body["result"] = result
        result["outputs"] = _first_that_fit(viewed["outputs"], MAX_WEBHOOK_BODY_BYTES - len(_encoded(body)))
    return _encoded(body)


def sample(owner: str, now: datetime) -> bytes:
    """Make the body of a sample, as for a job of this owner.

    The event's name and the job's id show that there is no job.
    """
    ended_at = timestamps.to_text(now)
    body: WebhookBodyJson = {
        "event": "webhook.test",
        "jobId": _SAMPLE_JOB_ID,
        "status": JobStatus.SUCCEEDED,
        "workflowId": "sample",
        "owner": owner_hash(owner),
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
    return _encoded(body)


def _first_that_fit(outputs: Sequence[OutputJson], capacity_bytes: int) -> Sequence[OutputJson]:
    for count, output in enumerate(outputs):
        capacity_bytes -= len(_encoded(output)) + 1  # and the comma
        if capacity_bytes < 0:
            return outputs[:count]
    return outputs


def _encoded(value: WebhookBodyJson | OutputJson) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
