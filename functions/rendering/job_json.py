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

    filename: Annotated[str, Field(description="Its name, which no other file of the job has.")]
    url: Annotated[str, Field(description="Its path in this API; works for as long as the file is kept.")]
    downloadUrl: Annotated[str, Field(description="Works as it stands with a plain GET, ranges too.")]
    downloadUrlExpiresAt: Annotated[Instant, Field(description="Until when downloadUrl works.")]
    storagePath: Annotated[str, Field(description="Its key in S3.")]
    size: Annotated[int, Field(ge=0, description="Bytes.")]
    sha256: Sha256
    contentType: Annotated[str, Field(description="Its media type.")]


class JobErrorJson(TypedDict):
    """Why a job failed."""

    code: Annotated[
        str,
        Field(
            description="COMFYUI_UNREACHABLE, COMFYUI_OOM, COMFYUI_TIMEOUT, COMFYUI_NODE_ERROR, COMFYUI_REJECTED, "
            "EXECUTOR_LOST, OUTPUT_ERROR or INTERNAL_ERROR; there may be others later."
        ),
    ]
    message: Annotated[str, Field(description="For a person.")]
    retryable: Annotated[bool, Field(description="Whether the same job may succeed later.")]
    recommendation: NotRequired[Annotated[str, Field(description="What to change, where that is known.")]]


class TimingJson(TypedDict):
    """When a job was accepted, started and ended."""

    createdAt: Annotated[Instant, Field(description="When it was accepted.")]
    startedAt: Annotated[Instant | None, Field(description="When its first attempt began.")]
    completedAt: Annotated[Instant | None, Field(description="When it ended.")]
    executionTimeMs: Annotated[int | None, Field(ge=0, description="What ComfyUI needed, waiting excluded.")]


class WebhookStateJson(TypedDict):
    """Where the webhook of a job's end stands."""

    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0, description="How often it was sent.")]
    lastStatusCode: Annotated[
        int | None, Field(description="What the receiver last answered with; null when it has not, or not whole.")
    ]


class JobJson(TypedDict):
    """A job as its owner sees it. Once it has ended, nothing of it changes but `webhook`."""

    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Which workflow it runs.")]
    priority: Priority
    progress: Annotated[int | None, Field(ge=0, le=100, description="Percent; null when nothing is known yet.")]
    outputs: Annotated[Sequence[OutputJson] | None, Field(description="Its files; null until it has succeeded.")]
    error: JobErrorJson | None
    cacheHit: Annotated[bool, Field(description="Whether it was answered with the files of an equal job.")]
    attempts: Annotated[int, Field(ge=0, description="How often it was started.")]
    seed: NotRequired[Annotated[int, Field(description="As run: send it to get the same again.")]]
    timing: TimingJson
    webhook: Annotated[WebhookStateJson | None, Field(description="Null without a `callbackUrl`.")]
    metadata: Annotated[Mapping[str, Any], Field(description="As it came with the job.")]


class LogLineJson(TypedDict):
    """One thing that happened to a job."""

    timestamp: Instant
    level: LogLevel
    message: Annotated[str, Field(description="For a person.")]
    node: NotRequired[Annotated[str, Field(description="Of the graph, where it happened.")]]
