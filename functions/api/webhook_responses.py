"""What the API answers about webhooks, and what webhooks say: as functions.api.responses, and imported as rarely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be read by pydantic before Python 3.12

from functions.rendering.json_types import Instant, JobId


class DeliveryAttemptJson(TypedDict):
    """One try to send a webhook."""

    attempt: Annotated[int, Field(ge=1, description="Its number.")]
    timestamp: Instant
    durationMs: Annotated[int | None, Field(ge=0, description="How long it took; null when it broke off.")]
    statusCode: Annotated[int | None, Field(description="What the receiver answered with; null when it did not.")]
    error: Annotated[str | None, Field(description="Why it was not delivered, for a person; null when it was.")]
    nextAttemptAt: Annotated[Instant | None, Field(description="When it is tried again; null when it is not.")]


class DeliveryListJson(TypedDict):
    """What became of a job's webhook."""

    jobId: JobId
    deliveries: Annotated[Sequence[DeliveryAttemptJson], Field(description="The newest 40, oldest first.")]


class DeliveryRequestedJson(TypedDict):
    """A webhook that will be sent again."""

    jobId: JobId
    webhookId: Annotated[str, Field(description="`webhook-id`, as it was before.")]
    message: Annotated[str, Field(description="For a person.")]


class WebhookTestResultJson(TypedDict):
    """What became of a sample."""

    delivered: Annotated[bool, Field(description="Whether it was answered with a 2xx in time.")]
    statusCode: Annotated[int | None, Field(description="What the receiver answered with; null when it did not.")]
    durationMs: Annotated[int, Field(ge=0, description="How long it took.")]
    error: Annotated[str | None, Field(description="Why it was not delivered, for a person; null when it was.")]
    webhookId: Annotated[str, Field(description="`webhook-id` of the sample.")]
