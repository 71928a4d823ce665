"""What the API answers about webhooks, and what webhooks say: as functions.api.responses, and imported as rarely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be read by pydantic before Python 3.12

from functions.api.responses import Instant, JobError, JobId, Output, Timing
from gateway.domain.job import JobStatus


class DeliveryAttempt(TypedDict):
    """One try to send a webhook."""

    attempt: Annotated[int, Field(ge=1, description="Its number.")]
    timestamp: Instant
    durationMs: Annotated[int | None, Field(ge=0, description="How long it took; null when it broke off.")]
    statusCode: Annotated[int | None, Field(description="What the receiver answered with; null when it did not.")]
    error: Annotated[str | None, Field(description="Why it was not delivered, for a person; null when it was.")]
    nextAttemptAt: Annotated[Instant | None, Field(description="When it is tried again; null when it is not.")]


class DeliveryList(TypedDict):
    """What became of a job's webhook."""

    jobId: JobId
    deliveries: Annotated[Sequence[DeliveryAttempt], Field(description="The newest 40, oldest first.")]


class DeliveryRequested(TypedDict):
    """A webhook that will be sent again."""

    jobId: JobId
    webhookId: Annotated[str, Field(description="`webhook-id`, as it was before.")]
    message: Annotated[str, Field(description="For a person.")]


class WebhookTestResult(TypedDict):
    """What became of a sample."""

    delivered: Annotated[bool, Field(description="Whether it was answered with a 2xx in time.")]
    statusCode: Annotated[int | None, Field(description="What the receiver answered with; null when it did not.")]
    durationMs: Annotated[int, Field(ge=0, description="How long it took.")]
    error: Annotated[str | None, Field(description="Why it was not delivered, for a person; null when it was.")]
    webhookId: Annotated[str, Field(description="`webhook-id` of the sample.")]


class CutOutputs(TypedDict):
    """Says that outputs are left out of a webhook."""

    total: Annotated[int, Field(ge=1, description="How many outputs the job has.")]
    url: Annotated[str, Field(description="Path in this API that lists them all.")]


class WebhookOutcome(TypedDict):
    """What a job made."""

    outputs: Annotated[Sequence[Output], Field(description="Its files; the first of them, when `cut` is there.")]
    cut: NotRequired[CutOutputs]


class WebhookBody(TypedDict):
    """A webhook: the end of a job."""

    event: Annotated[str, Field(description="`job.` and the status; `webhook.test` for a sample.")]
    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Which workflow it ran.")]
    result: Annotated[WebhookOutcome | None, Field(description="Null unless it has succeeded.")]
    error: JobError | None
    timing: Timing
    metadata: Annotated[Mapping[str, Any], Field(description="As it came with the job.")]
    timestamp: Annotated[Instant, Field(description="When the job ended.")]
