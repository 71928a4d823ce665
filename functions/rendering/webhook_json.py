"""The JSON of a webhook's body. As job_json, it is imported for its types only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic cannot read typing's own before Python 3.12

from functions.rendering.job_json import JobErrorJson, OutputJson, TimingJson
from functions.rendering.json_types import Instant, JobId
from gateway.domain.job import JobStatus


class CutOutputsJson(TypedDict):
    """Says that outputs are left out of a webhook."""

    total: Annotated[int, Field(ge=1, description="How many outputs the job has.")]
    url: Annotated[str, Field(description="Path in this API that lists them all.")]


class WebhookOutcomeJson(TypedDict):
    """What a job made."""

    outputs: Annotated[Sequence[OutputJson], Field(description="Its files; the first of them, when `cut` is there.")]
    cut: NotRequired[CutOutputsJson]


class WebhookBodyJson(TypedDict):
    """A webhook: the end of a job."""

    event: Annotated[str, Field(description="`job.` and the status; `webhook.test` for a sample.")]
    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Which workflow it ran.")]
    result: Annotated[WebhookOutcomeJson | None, Field(description="Null unless it has succeeded.")]
    error: JobErrorJson | None
    timing: TimingJson
    metadata: Annotated[Mapping[str, Any], Field(description="As it came with the job.")]
    timestamp: Annotated[Instant, Field(description="When the job ended.")]
