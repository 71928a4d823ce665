"""Examples of the API document. Type checkers check the examples of responses, and tests validate all examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.http import pagination
from gateway.__about__ import VERSION
from gateway.domain.audit import AuditAction
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.file_names import SAVED_FORMATS
from gateway.domain.job import JobStatus, LogLevel, Priority, ended_event_id
from gateway.domain.page_position import PagePosition
from gateway.domain.principal import Role, owner_hash
from gateway.errors import (
    ComfyUIOutOfMemoryError,
    CredentialsRejectedError,
    ExecutorLostError,
    IdempotencyMismatchError,
    JobNotFoundError,
    MethodNotAllowedError,
    OutputNotFoundError,
    PathNotFoundError,
    PayloadTooLargeError,
    Problem,
    RateLimitedError,
    RequestInvalidError,
    RoleForbiddenError,
    StateConflictError,
    WorkflowNotFoundError,
)

if TYPE_CHECKING:
    from functions.api import responses
    from functions.rendering.job_json import JobJson, OutputJson
    from functions.rendering.webhook_json import WebhookBodyJson
    from gateway.errors import RequestError

BUNDLED_WORKFLOW_ID = "sdxl_realism_v1"
WORKFLOW_ID = "one_color"
JOB_ID = "3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11"
FILENAME = "sdxl_realism_v1_00001_.png"
CALLBACK_URL = "https://app.example.com/hooks/comfyui"
CORRELATION_ID = "7d1f0f0e-42a5-4f1c-8b59-5f2f5d9a6f10"
_ACCEPTED_AT, _STARTED_AT = "2026-01-31T12:00:00.123Z", "2026-01-31T12:00:00.310Z"
_ENDED_AT, _EXPIRES_AT = "2026-01-31T12:00:08.550Z", "2026-01-31T13:00:09.000Z"
_CURSOR = pagination.to_cursor(PagePosition.from_text(f"{_ACCEPTED_AT}#{JOB_ID}"))
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

JOB_REQUEST = {
    "workflowId": BUNDLED_WORKFLOW_ID,
    "inputs": {"prompt": "a lighthouse at dawn", "steps": 20},
    "priority": "normal",
    "metadata": {"shelf": "lighthouses"},
    "callbackUrl": CALLBACK_URL,
}
WEBHOOK_TEST_REQUEST = {"url": CALLBACK_URL}
WORKFLOW_REQUEST: dict[str, Any] = {
    "id": WORKFLOW_ID,
    "name": "One color",
    "workflowJson": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": "{{color}}"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "color"}},
    },
    "inputSchema": {
        "type": "object",
        "fields": {"color": {"type": "integer", "required": True, "min": 0, "max": 16777215}},
    },
}
WORKFLOW_CHANGE = {"name": "A single color", "version": 1}

JOB_ACCEPTED: responses.JobAcceptedJson = {
    "jobId": JOB_ID,
    "status": JobStatus.QUEUED,
    "etaSeconds": 12,
    "pollUrl": f"/jobs/{JOB_ID}",
}
OUTPUT: OutputJson = {
    "filename": FILENAME,
    "url": f"/outputs/{JOB_ID}/{FILENAME}",
    "downloadUrl": f"https://bucket.s3.eu-central-1.amazonaws.com/outputs/{JOB_ID}/1/{FILENAME}?X-Amz-Signature=…",
    "downloadUrlExpiresAt": _EXPIRES_AT,
    "storagePath": f"outputs/{JOB_ID}/1/{FILENAME}",
    "size": 1482133,
    "sha256": _SHA256,
    "contentType": "image/png",
}
JOB_FROM_CACHE: responses.JobFromCacheJson = {
    "jobId": JOB_ID,
    "status": "cache_hit",
    "outputs": [OUTPUT],
    "pollUrl": f"/jobs/{JOB_ID}",
}
JOB_SUCCEEDED: JobJson = {
    "jobId": JOB_ID,
    "status": JobStatus.SUCCEEDED,
    "workflowId": BUNDLED_WORKFLOW_ID,
    "priority": Priority.NORMAL,
    "progress": 100,
    "outputs": [OUTPUT],
    "error": None,
    "cacheHit": False,
    "attempts": 1,
    "seed": 8127391,
    "timing": {
        "createdAt": _ACCEPTED_AT,
        "startedAt": _STARTED_AT,
        "completedAt": _ENDED_AT,
        "executionTimeMs": 8012,
    },
    "webhook": {"status": DeliveryStatus.DELIVERED, "attempts": 1, "lastStatusCode": 204},
    "metadata": {"shelf": "lighthouses"},
}
JOB_FAILED: JobJson = {
    **JOB_SUCCEEDED,
    "status": JobStatus.FAILED,
    "progress": 35,
    "outputs": None,
    "error": {
        "code": ComfyUIOutOfMemoryError.code,
        "message": "The GPU ran out of memory in node 3 (KSampler).",
        "retryable": ComfyUIOutOfMemoryError.retryable,
        "recommendation": "Lower width, height or batch_size.",
    },
}
JOB_LIST: responses.JobListJson = {"jobs": [JOB_SUCCEEDED], "count": 1, "nextCursor": _CURSOR}
JOB_LOG: responses.JobLogJson = {
    "jobId": JOB_ID,
    "logs": [
        {"timestamp": _ACCEPTED_AT, "level": LogLevel.INFO, "message": "Accepted."},
        {"timestamp": _STARTED_AT, "level": LogLevel.INFO, "message": "Attempt 1 started.", "node": "3"},
    ],
}
CANCELED: responses.CancelAnswerJson = {
    "jobId": JOB_ID,
    "status": JobStatus.CANCELED,
    "message": "Cancellation requested",
}
DELIVERIES: responses.DeliveryListJson = {
    "jobId": JOB_ID,
    "deliveries": [
        {
            "attempt": 1,
            "timestamp": _ENDED_AT,
            "durationMs": 10_003,
            "statusCode": None,
            "error": "No complete response within 10 s.",
            "nextAttemptAt": "2026-01-31T12:00:28.553Z",
        },
        {
            "attempt": 2,
            "timestamp": "2026-01-31T12:00:28.601Z",
            "durationMs": 84,
            "statusCode": 204,
            "error": None,
            "nextAttemptAt": None,
        },
    ],
}
DELIVERY_REQUESTED: responses.DeliveryRequestedJson = {
    "jobId": JOB_ID,
    "webhookId": ended_event_id(JOB_ID),
    "message": "Delivery requested",
}
WEBHOOK_TEST_RESULT: responses.WebhookTestResultJson = {
    "delivered": True,
    "statusCode": 204,
    "durationMs": 84,
    "error": None,
    "webhookId": "8d7e3f86-5f3c-4c0c-8f8c-0a3a0c0b9c43",
}
WEBHOOK_BODY: WebhookBodyJson = {
    "event": "job.succeeded",
    "jobId": JOB_ID,
    "status": JobStatus.SUCCEEDED,
    "workflowId": BUNDLED_WORKFLOW_ID,
    "owner": owner_hash("ada"),
    "result": {"outputs": [OUTPUT]},
    "error": None,
    "timing": JOB_SUCCEEDED["timing"],
    "metadata": JOB_SUCCEEDED["metadata"],
    "timestamp": _ENDED_AT,
}
OUTPUT_LIST: responses.OutputListJson = {"jobId": JOB_ID, "files": [OUTPUT]}
OUTPUT_CONTENT: responses.OutputContentJson = {
    "filename": FILENAME,
    "contentType": "image/png",
    "size": 9,
    "data": "iVBORw0KGgo=",
}
WORKFLOW_HEAD: responses.WorkflowHeadJson = {
    "id": WORKFLOW_ID,
    "name": "One color",
    "description": "",
    "version": 1,
    "createdAt": _ACCEPTED_AT,
    "updatedAt": _ACCEPTED_AT,
}
WORKFLOW_LIST: responses.WorkflowListJson = {"workflows": [WORKFLOW_HEAD], "count": 1}
WORKFLOW: responses.WorkflowAnswerJson = {
    "workflow": {
        **WORKFLOW_HEAD,
        "workflowJson": WORKFLOW_REQUEST["workflowJson"],
        "inputSchema": {
            "type": "object",
            "properties": {"color": {"type": "integer", "minimum": 0, "maximum": 16777215}},
            "required": ["color"],
            "additionalProperties": False,
        },
        "defaultParams": {},
    }
}
_CHECKPOINT = "sd_xl_base_1.0.safetensors"
CAPABILITIES: responses.CapabilitiesJson = {
    "workflows": [{"id": WORKFLOW_ID, "name": "One color", "description": ""}],
    "models": {"checkpoints": [_CHECKPOINT], "loras": ["film.safetensors"]},
    "maxSize": 2048,
    "maxBatch": 8,
    "formats": list(SAVED_FORMATS),
    "storageProvider": "s3",
}
HEALTH: responses.HealthJson = {"ok": True, "version": VERSION, "comfyui": {"reachable": True}, "uptime": 93.512}
_COMFYUI_URL = "http://10.0.4.17:8188"
HEALTH_SIGNED_IN: responses.HealthJson = {
    **HEALTH,
    "comfyui": {"reachable": True, "url": _COMFYUI_URL, "models": [_CHECKPOINT]},
    "executors": [
        {
            "id": "gpu-1:17",
            "lastSeenAt": _ENDED_AT,
            "busy": True,
            "currentJobId": JOB_ID,
            "version": VERSION,
            "comfyui": {
                "reachable": True,
                "url": _COMFYUI_URL,
                "version": "0.3.75",
                "device": {
                    "name": "cuda:0 NVIDIA L4 : cudaMallocAsync",
                    "vramTotalBytes": 23_580_639_232,
                    "vramFreeBytes": 14_702_411_776,
                },
                "models": {
                    "checkpoints": {"count": 1, "names": [_CHECKPOINT]},
                    "loras": {"count": 1, "names": ["film.safetensors"]},
                },
            },
        }
    ],
}
AUDIT_LIST: responses.AuditListJson = {
    "entries": [
        {
            "at": _ACCEPTED_AT,
            "actor": {"owner": "studio", "role": Role.ADMIN, "keyName": "ops"},
            "action": AuditAction.WORKFLOW_CREATED,
            "target": WORKFLOW_ID,
            "before": None,
            "after": _SHA256,
            "correlationId": CORRELATION_ID,
        }
    ],
    "count": 1,
    "nextCursor": None,
}
STATS: responses.StatsJson = {
    "jobs": {"queued": 3, "running": 1, "succeeded": 1204, "failed": 6, "canceled": 2, "total": 1216},
    "failedByCode": {ComfyUIOutOfMemoryError.code: 5, ExecutorLostError.code: 1},
    "averageProcessingTimeMs": 8210,
    "averageQueueWaitMs": 1350,
    "cacheHitRate": 0.125,
    "since": "2026-01-01T00:00:00.000Z",
}

ERRORS: tuple[RequestError, ...] = (
    RequestInvalidError([Problem("inputs.steps", "The value is greater than the maximum of 100")]),
    CredentialsRejectedError("Invalid API key"),
    RoleForbiddenError("Admin role required to create workflows."),
    PathNotFoundError("There is nothing at this path."),
    WorkflowNotFoundError("my_workflow"),
    JobNotFoundError(JOB_ID),
    OutputNotFoundError(JOB_ID),
    MethodNotAllowedError("Not allowed here; try GET or POST."),
    StateConflictError("The job has ended already; there is nothing to cancel."),
    PayloadTooLargeError("The body is larger than 1048576 bytes, the most this API takes."),
    IdempotencyMismatchError(
        "This idempotency key was used before, with another request. Use a new key for a new request."
    ),
    RateLimitedError(limit=100, window_seconds=60, retry_seconds=17),
)
