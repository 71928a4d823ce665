"""The JSON of a job, its outputs and its log.

Type checkers check it where a job is rendered, and tools.api_docs documents it. Modules that serve requests import it
for its types only, so that no cold start pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic cannot read typing's own before Python 3.12

from functions.rendering.json_types import Instant, JobId, Sha256
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.job import JobStatus, LogLevel, Priority


class OutputJson(TypedDict):
    """A file that a job produced."""

    filename: Annotated[str, Field(description="File name, unique within the job.")]
    url: Annotated[str, Field(description="Path of the file in this API. Valid while the file is stored.")]
    downloadUrl: Annotated[str, Field(description="Presigned URL. Needs no API key, and supports range requests.")]
    downloadUrlExpiresAt: Annotated[Instant, Field(description="Expiry of `downloadUrl`.")]
    storagePath: Annotated[str, Field(description="S3 key of the file.")]
    size: Annotated[int, Field(ge=0, description="Size in bytes.")]
    sha256: Sha256
    contentType: Annotated[str, Field(description="Media type.")]


class JobErrorJson(TypedDict):
    """The error of a failed job."""

    code: Annotated[
        str,
        Field(
            description="One of COMFYUI_UNREACHABLE, COMFYUI_OOM, COMFYUI_TIMEOUT, COMFYUI_NODE_ERROR, "
            "COMFYUI_REJECTED, EXECUTOR_LOST, OUTPUT_ERROR or INTERNAL_ERROR. More codes may be added."
        ),
    ]
    message: Annotated[str, Field(description="Human-readable message.")]
    retryable: Annotated[bool, Field(description="Whether the same job can succeed later.")]
    recommendation: NotRequired[Annotated[str, Field(description="Suggested change, if known.")]]


class TimingJson(TypedDict):
    """The timestamps of a job."""

    createdAt: Annotated[Instant, Field(description="Time of acceptance.")]
    startedAt: Annotated[Instant | None, Field(description="Start of the first attempt.")]
    completedAt: Annotated[Instant | None, Field(description="Time of the terminal status.")]
    executionTimeMs: Annotated[int | None, Field(ge=0, description="Run time on ComfyUI, without waiting time.")]


class WebhookStateJson(TypedDict):
    """The delivery state of the job's webhook."""

    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0, description="Number of delivery attempts.")]
    lastStatusCode: Annotated[
        int | None, Field(description="Status of the last response. Null without a complete response.")
    ]


class JobJson(TypedDict):
    """A job. After it has ended, only `webhook` changes."""

    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Id of the workflow.")]
    priority: Priority
    progress: Annotated[int | None, Field(ge=0, le=100, description="Progress in percent. Null if unknown.")]
    outputs: Annotated[Sequence[OutputJson] | None, Field(description="Output files. Null until the job succeeds.")]
    error: JobErrorJson | None
    cacheHit: Annotated[bool, Field(description="Whether the outputs come from the result cache.")]
    attempts: Annotated[int, Field(ge=0, description="Number of attempts that have started.")]
    seed: NotRequired[Annotated[int, Field(description="Seed of the run. Send it as an input to repeat the run.")]]
    timing: TimingJson
    webhook: Annotated[WebhookStateJson | None, Field(description="Null if the job has no `callbackUrl`.")]
    metadata: Annotated[Mapping[str, Any], Field(description="Metadata from the request, unchanged.")]


class LogLineJson(TypedDict):
    """A line of the job log."""

    timestamp: Instant
    level: LogLevel
    message: Annotated[str, Field(description="Human-readable message.")]
    node: NotRequired[Annotated[str, Field(description="Id of the node in the graph.")]]
