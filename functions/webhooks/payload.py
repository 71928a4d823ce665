"""What a webhook says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.limits import MAX_WEBHOOK_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.rendering.job_json import OutputJson
    from functions.rendering.job_view import JobView
    from functions.rendering.webhook_json import WebhookBodyJson, WebhookOutcomeJson
    from gateway.domain.job import Job


def write(view: JobView, job: Job) -> bytes:
    """Tell an ended job's end, with URLs that are made now. Outputs that would make it too long are left out."""
    viewed = view.job(job)
    body: WebhookBodyJson = {
        "event": f"job.{job.status}",
        "jobId": viewed["jobId"],
        "status": viewed["status"],
        "workflowId": viewed["workflowId"],
        "result": None if viewed["outputs"] is None else {"outputs": viewed["outputs"]},
        "error": viewed["error"],
        "timing": viewed["timing"],
        "metadata": viewed["metadata"],
        "timestamp": timestamps.to_text(job.completed_at or timestamps.now()),
    }
    if viewed["outputs"] is not None and len(_encoded(body)) > MAX_WEBHOOK_BODY_BYTES:
        result: WebhookOutcomeJson = {
            "outputs": [],
            "cut": {"total": len(viewed["outputs"]), "url": f"/outputs/{job.id}"},
        }
        body["result"] = result
        result["outputs"] = _that_fit(viewed["outputs"], MAX_WEBHOOK_BODY_BYTES - len(_encoded(body)))
    return _encoded(body)


def _that_fit(outputs: Sequence[OutputJson], room_bytes: int) -> Sequence[OutputJson]:
    for count, output in enumerate(outputs):
        room_bytes -= len(_encoded(output)) + 1  # and the comma
        if room_bytes < 0:
            return outputs[:count]
    return outputs


def _encoded(value: WebhookBodyJson | OutputJson) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
