"""The JSON of a webhook's body. Like job_json, it is imported for its types only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic cannot read typing's own before Python 3.12

from functions.rendering.job_json import JobErrorJson, OutputJson, TimingJson
from functions.rendering.json_types import Instant, JobId
from gateway.domain.job import JobStatus


class CutOutputsJson(TypedDict):
    """Present if outputs were omitted because the webhook would be too large."""

    total: Annotated[int, Field(ge=1, description="Number of outputs of the job.")]
    url: Annotated[str, Field(description="Path in this API that lists all outputs.")]


class WebhookOutcomeJson(TypedDict):
    """The result of a succeeded job."""

    outputs: Annotated[Sequence[OutputJson], Field(description="Output files. With `cut`, only the first ones.")]
    cut: NotRequired[CutOutputsJson]


class WebhookBodyJson(TypedDict):
    """The body of a webhook, sent when a job has ended."""

    event: Annotated[str, Field(description="`job.` and the status, or `webhook.test` for a sample.")]
    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Id of the workflow.")]
    owner: Annotated[
        str,
        Field(pattern="^[0-9a-f]{16}$", description="First 16 hex digits of the SHA-256 of the owner's name."),
    ]
    result: Annotated[WebhookOutcomeJson | None, Field(description="Null unless the job has succeeded.")]
    error: JobErrorJson | None
    timing: TimingJson
    metadata: Annotated[Mapping[str, Any], Field(description="Metadata from the request, unchanged.")]
    timestamp: Annotated[Instant, Field(description="Time of the job's terminal status.")]
