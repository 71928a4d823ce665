"""What the API answers: the shape of every JSON body.

Checked by mypy where bodies are made, and read by tools.api_docs to document them. Requests are answered without
this module: it is imported for its types only, so that no cold start pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be read by pydantic before Python 3.12

from functions.rendering.job_json import JobJson, LogLineJson, OutputJson
from functions.rendering.json_types import Instant, JobId
from gateway.domain.audit import AuditAction
from gateway.domain.job import JobStatus
from gateway.domain.principal import Role

Count = Annotated[int, Field(ge=0, description="How many there are in this answer.")]
NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor` for the next page; null at the end.", max_length=200)
]


class ProblemJson(TypedDict):
    """One thing that is wrong with a request."""

    path: Annotated[str, Field(description="Where: `inputs.steps`; empty when it is the whole.")]
    message: Annotated[str, Field(description="What, for a person.")]


class ErrorDetailsJson(TypedDict):
    """What a program can read beside the message."""

    errors: Annotated[Sequence[ProblemJson], Field(description="Every problem, up to a hundred.")]


class ErrorJson(TypedDict):
    """Every error looks like this."""

    error: Annotated[str, Field(description="What went wrong, for a program.", pattern="^[A-Z_]+$")]
    message: Annotated[str, Field(description="What went wrong, for a person.")]
    details: Annotated[ErrorDetailsJson | None, Field(description="With VALIDATION_ERROR only.")]
    retryable: Annotated[bool, Field(description="Whether the very same request may succeed later.")]
    correlationId: Annotated[str, Field(description="The one in X-Correlation-Id: name it when you report a fault.")]


class JobAcceptedJson(TypedDict):
    """A job that waits in its queue, or the one that an idempotency key stands for."""

    jobId: JobId
    status: JobStatus
    etaSeconds: Annotated[int, Field(ge=0, description="Until its end, from recent run times; 0 when idle or unknown.")]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class JobFromCacheJson(TypedDict):
    """A job that is done already: an equal one was run before, and this one has its files."""

    jobId: JobId
    status: Literal["cache_hit"]
    outputs: Annotated[Sequence[OutputJson], Field(description="Its files.")]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class JobListJson(TypedDict):
    """A page of jobs, newest first."""

    jobs: Sequence[JobJson]
    count: Count
    nextCursor: NextCursor


class JobLogJson(TypedDict):
    """What happened to a job, in order."""

    jobId: JobId
    logs: Sequence[LogLineJson]


class CancelAnswerJson(TypedDict):
    """A job that was told to end: `canceled` when nobody had started it, else `running` until it is interrupted."""

    jobId: JobId
    status: JobStatus
    message: Annotated[str, Field(description="For a person.")]


class OutputListJson(TypedDict):
    """A job's files, none while there are none."""

    jobId: JobId
    files: Sequence[OutputJson]


class OutputContentJson(TypedDict):
    """A file as base64."""

    filename: Annotated[str, Field(description="Its name.")]
    contentType: Annotated[str, Field(description="Its media type.")]
    size: Annotated[int, Field(ge=0, description="Bytes, before base64.")]
    data: Annotated[str, Field(description="Its bytes.", json_schema_extra={"contentEncoding": "base64"})]


class WorkflowSummaryJson(TypedDict):
    """What can be run, in short."""

    id: Annotated[str, Field(description="What jobs name it by.")]
    name: Annotated[str, Field(description="What lists show.")]
    description: Annotated[str, Field(description="What it makes.")]


class WorkflowHeadJson(WorkflowSummaryJson):
    """A workflow as lists show it."""

    version: Annotated[int, Field(ge=1, description="One higher with each change.")]
    createdAt: Instant
    updatedAt: Instant


class WorkflowListJson(TypedDict):
    """All workflows, by id."""

    workflows: Sequence[WorkflowHeadJson]
    count: Count


class WorkflowJson(WorkflowHeadJson):
    """A workflow as a whole."""

    workflowJson: Annotated[Mapping[str, Any], Field(description="ComfyUI's graph, with `{{name}}` for what varies.")]
    inputSchema: Annotated[Mapping[str, Any], Field(description="JSON Schema (2020-12) of a job's inputs.")]
    defaultParams: Annotated[Mapping[str, Any], Field(description="Values for tokens that are no inputs.")]


class WorkflowAnswerJson(TypedDict):
    """A workflow."""

    workflow: WorkflowJson


class CapabilitiesJson(TypedDict):
    """What this gateway can do."""

    workflows: Sequence[WorkflowSummaryJson]
    models: Annotated[
        Mapping[str, Sequence[str]],
        Field(description="Models that a ComfyUI offers just now, by its folders; up to 200 of each."),
    ]
    maxSize: Annotated[int, Field(ge=1, description="The largest `width` and `height`, in pixels.")]
    maxBatch: Annotated[int, Field(ge=1, description="The largest `batch_size`.")]
    formats: Annotated[Sequence[str], Field(description="Of files that ComfyUI's own nodes save.")]
    storageProvider: Literal["s3"]


class ReachedComfyUIJson(TypedDict):
    """Whether any ComfyUI answers; where and with which checkpoints, to those who are signed in."""

    reachable: Annotated[bool, Field(description="Whether an executor has said so within the last half minute.")]
    url: NotRequired[Annotated[str, Field(description="Of the first one, as its executor sees it.")]]
    models: NotRequired[Annotated[Sequence[str], Field(description="Checkpoints of all that answer.")]]


class DeviceJson(TypedDict):
    """What a ComfyUI computes on."""

    name: Annotated[str, Field(description="As ComfyUI calls it.")]
    vramTotalBytes: Annotated[int, Field(ge=0, description="Its memory; the machine's, where there is no GPU.")]
    vramFreeBytes: Annotated[int, Field(ge=0, description="How much of that is free.")]


class ModelFolderJson(TypedDict):
    """Models of one kind."""

    count: Annotated[int, Field(ge=1, description="How many there are.")]
    names: Annotated[Sequence[str], Field(description="The first ones, in alphabetical order; up to 200.")]


class ExecutorComfyUIJson(TypedDict):
    """The ComfyUI beside an executor."""

    reachable: Annotated[bool, Field(description="Whether it answers.")]
    url: Annotated[str, Field(description="As its executor sees it.")]
    version: Annotated[str | None, Field(description="Its own; null when it is not known.")]
    device: Annotated[DeviceJson | None, Field(description="Null when it is not known.")]
    models: Annotated[Mapping[str, ModelFolderJson], Field(description="By folder; empty ones are left out.")]


class ExecutorJson(TypedDict):
    """An executor that reported within the last half minute."""

    id: Annotated[str, Field(description="Its id.")]
    lastSeenAt: Instant
    busy: Annotated[bool, Field(description="Whether it has any job.")]
    currentJobId: NotRequired[
        Annotated[str | None, Field(description="What its ComfyUI runs; null when that is nothing. Told to admins.")]
    ]
    version: Annotated[str, Field(description="Of the gateway that it runs.")]
    comfyui: ExecutorComfyUIJson


class HealthJson(TypedDict):
    """How the gateway is."""

    ok: Annotated[bool, Field(description="True: it answers.")]
    version: Annotated[str, Field(description="Of the gateway.")]
    comfyui: ReachedComfyUIJson
    uptime: Annotated[float, Field(ge=0, description="Seconds, of the function that answers.")]
    executors: NotRequired[Annotated[Sequence[ExecutorJson], Field(description="To those who are signed in.")]]


class AuditActorJson(TypedDict):
    """Who did it."""

    owner: Annotated[str, Field(description="Whom the key or token belongs to.")]
    role: Role
    keyName: Annotated[str | None, Field(description="Of the API key; null for a token.")]


class AuditEntryJson(TypedDict):
    """One thing that an admin did."""

    at: Instant
    actor: AuditActorJson
    action: AuditAction
    target: Annotated[str, Field(description="Id of what it was done to.")]
    before: Annotated[str | None, Field(description="SHA-256 of what stood there; null when nothing did.")]
    after: Annotated[str | None, Field(description="SHA-256 of what stands there since; null when nothing does.")]
    correlationId: Annotated[str, Field(description="Of the request that did it.")]


class AuditListJson(TypedDict):
    """A page of the audit log, newest first."""

    entries: Sequence[AuditEntryJson]
    count: Count
    nextCursor: NextCursor


_JobCount = Annotated[int, Field(ge=0, description="How many jobs.")]


class JobCountsJson(TypedDict):
    """How many jobs there are of each status, and all in all."""

    queued: _JobCount
    running: _JobCount
    succeeded: _JobCount
    failed: _JobCount
    canceled: _JobCount
    total: _JobCount


class StatsJson(TypedDict):
    """What became of the jobs that are kept."""

    jobs: JobCountsJson
    failedByCode: Annotated[Mapping[str, int], Field(description="How many failed, by the `code` of their error.")]
    averageProcessingTimeMs: Annotated[
        int | None,
        Field(ge=0, description="What ComfyUI needed for a job, waiting excluded; null while it has run none."),
    ]
    averageQueueWaitMs: Annotated[
        int | None, Field(ge=0, description="From a job's acceptance to its start; null while none has started.")
    ]
    cacheHitRate: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of all jobs that were answered from the cache; null while there is none."),
    ]
    since: Annotated[Instant, Field(description="Jobs that were accepted at this time or later are counted.")]


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
