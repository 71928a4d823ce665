"""What the API answers: the shape of every JSON body.

Checked by mypy where bodies are made, and read by tools.api_docs to document them. Requests are answered without
this module: it is imported for its types only, so that no cold start pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # typing's own cannot be read by pydantic before Python 3.12

from gateway.domain.audit import AuditAction
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.job import JobStatus, LogLevel, Priority
from gateway.domain.principal import Role

Instant = Annotated[str, Field(description="RFC 3339, UTC, milliseconds.", json_schema_extra={"format": "date-time"})]
JobId = Annotated[str, Field(description="The job's id.", json_schema_extra={"format": "uuid"})]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, in hex.")]
Count = Annotated[int, Field(ge=0, description="How many there are in this answer.")]
NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor` for the next page; null at the end.", max_length=200)
]


class Problem(TypedDict):
    """One thing that is wrong with a request."""

    path: Annotated[str, Field(description="Where: `inputs.steps`; empty when it is the whole.")]
    message: Annotated[str, Field(description="What, for a person.")]


class ErrorDetails(TypedDict):
    """What a program can read beside the message."""

    errors: Annotated[Sequence[Problem], Field(description="Every problem, up to a hundred.")]


class Error(TypedDict):
    """Every error looks like this."""

    error: Annotated[str, Field(description="What went wrong, for a program.", pattern="^[A-Z_]+$")]
    message: Annotated[str, Field(description="What went wrong, for a person.")]
    details: Annotated[ErrorDetails | None, Field(description="With VALIDATION_ERROR only.")]
    retryable: Annotated[bool, Field(description="Whether the very same request may succeed later.")]
    correlationId: Annotated[str, Field(description="The one in X-Correlation-Id: name it when you report a fault.")]


class JobAccepted(TypedDict):
    """A job that waits in its queue, or the one that an idempotency key stands for."""

    jobId: JobId
    status: JobStatus
    etaSeconds: Annotated[int, Field(ge=0, description="Until its end, from recent run times; 0 when idle or unknown.")]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class Output(TypedDict):
    """A file that a job produced."""

    filename: Annotated[str, Field(description="Its name, which no other file of the job has.")]
    url: Annotated[str, Field(description="Its path in this API; works for as long as the file is kept.")]
    downloadUrl: Annotated[str, Field(description="Works as it stands with a plain GET, ranges too.")]
    downloadUrlExpiresAt: Annotated[Instant, Field(description="Until when downloadUrl works.")]
    storagePath: Annotated[str, Field(description="Its key in S3.")]
    size: Annotated[int, Field(ge=0, description="Bytes.")]
    sha256: Sha256
    contentType: Annotated[str, Field(description="Its media type.")]


class JobFromCache(TypedDict):
    """A job that is done already: an equal one was run before, and this one has its files."""

    jobId: JobId
    status: Literal["cache_hit"]
    outputs: Annotated[Sequence[Output], Field(description="Its files.")]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class JobError(TypedDict):
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


class Timing(TypedDict):
    """When a job was accepted, started and ended."""

    createdAt: Annotated[Instant, Field(description="When it was accepted.")]
    startedAt: Annotated[Instant | None, Field(description="When its first attempt began.")]
    completedAt: Annotated[Instant | None, Field(description="When it ended.")]
    executionTimeMs: Annotated[int | None, Field(ge=0, description="What ComfyUI needed, waiting excluded.")]


class WebhookState(TypedDict):
    """Where the webhook of a job's end stands."""

    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0, description="How often it was sent.")]
    lastStatusCode: Annotated[
        int | None, Field(description="What the receiver last answered with; null when it has not, or not whole.")
    ]


class Job(TypedDict):
    """A job as its owner sees it. Once it has ended, nothing of it changes but `webhook`."""

    jobId: JobId
    status: JobStatus
    workflowId: Annotated[str, Field(description="Which workflow it runs.")]
    priority: Priority
    progress: Annotated[int | None, Field(ge=0, le=100, description="Percent; null when nothing is known yet.")]
    outputs: Annotated[Sequence[Output] | None, Field(description="Its files; null until it has succeeded.")]
    error: JobError | None
    cacheHit: Annotated[bool, Field(description="Whether it was answered with the files of an equal job.")]
    attempts: Annotated[int, Field(ge=0, description="How often it was started.")]
    seed: NotRequired[Annotated[int, Field(description="As run: send it to get the same again.")]]
    timing: Timing
    webhook: Annotated[WebhookState | None, Field(description="Null without a `callbackUrl`.")]
    metadata: Annotated[Mapping[str, Any], Field(description="As it came with the job.")]


class JobList(TypedDict):
    """A page of jobs, newest first."""

    jobs: Sequence[Job]
    count: Count
    nextCursor: NextCursor


class LogLine(TypedDict):
    """One thing that happened to a job."""

    timestamp: Instant
    level: LogLevel
    message: Annotated[str, Field(description="For a person.")]
    node: NotRequired[Annotated[str, Field(description="Of the graph, where it happened.")]]


class JobLog(TypedDict):
    """What happened to a job, in order."""

    jobId: JobId
    logs: Sequence[LogLine]


class CancelAnswer(TypedDict):
    """A job that was told to end: `canceled` when nobody had started it, else `running` until it is interrupted."""

    jobId: JobId
    status: JobStatus
    message: Annotated[str, Field(description="For a person.")]


class OutputList(TypedDict):
    """A job's files, none while there are none."""

    jobId: JobId
    files: Sequence[Output]


class OutputContent(TypedDict):
    """A file as base64."""

    filename: Annotated[str, Field(description="Its name.")]
    contentType: Annotated[str, Field(description="Its media type.")]
    size: Annotated[int, Field(ge=0, description="Bytes, before base64.")]
    data: Annotated[str, Field(description="Its bytes.", json_schema_extra={"contentEncoding": "base64"})]


class WorkflowSummary(TypedDict):
    """What can be run, in short."""

    id: Annotated[str, Field(description="What jobs name it by.")]
    name: Annotated[str, Field(description="What lists show.")]
    description: Annotated[str, Field(description="What it makes.")]


class WorkflowHead(WorkflowSummary):
    """A workflow as lists show it."""

    version: Annotated[int, Field(ge=1, description="One higher with each change.")]
    createdAt: Instant
    updatedAt: Instant


class WorkflowList(TypedDict):
    """All workflows, by id."""

    workflows: Sequence[WorkflowHead]
    count: Count


class Workflow(WorkflowHead):
    """A workflow as a whole."""

    workflowJson: Annotated[Mapping[str, Any], Field(description="ComfyUI's graph, with `{{name}}` for what varies.")]
    inputSchema: Annotated[Mapping[str, Any], Field(description="JSON Schema (2020-12) of a job's inputs.")]
    defaultParams: Annotated[Mapping[str, Any], Field(description="Values for tokens that are no inputs.")]


class WorkflowAnswer(TypedDict):
    """A workflow."""

    workflow: Workflow


class Capabilities(TypedDict):
    """What this gateway can do."""

    workflows: Sequence[WorkflowSummary]
    models: Annotated[
        Mapping[str, Sequence[str]],
        Field(description="Models that a ComfyUI offers just now, by its folders; up to 200 of each."),
    ]
    maxSize: Annotated[int, Field(ge=1, description="The largest `width` and `height`, in pixels.")]
    maxBatch: Annotated[int, Field(ge=1, description="The largest `batch_size`.")]
    formats: Annotated[Sequence[str], Field(description="Of files that ComfyUI's own nodes save.")]
    storageProvider: Literal["s3"]


class ReachedComfyUI(TypedDict):
    """Whether any ComfyUI answers; where and with which checkpoints, to those who are signed in."""

    reachable: Annotated[bool, Field(description="Whether an executor has said so within the last half minute.")]
    url: NotRequired[Annotated[str, Field(description="Of the first one, as its executor sees it.")]]
    models: NotRequired[Annotated[Sequence[str], Field(description="Checkpoints of all that answer.")]]


class Device(TypedDict):
    """What a ComfyUI computes on."""

    name: Annotated[str, Field(description="As ComfyUI calls it.")]
    vramTotalBytes: Annotated[int, Field(ge=0, description="Its memory; the machine's, where there is no GPU.")]
    vramFreeBytes: Annotated[int, Field(ge=0, description="How much of that is free.")]


class ModelFolder(TypedDict):
    """Models of one kind."""

    count: Annotated[int, Field(ge=1, description="How many there are.")]
    names: Annotated[Sequence[str], Field(description="The first ones, in alphabetical order; up to 200.")]


class ExecutorComfyUI(TypedDict):
    """The ComfyUI beside an executor."""

    reachable: Annotated[bool, Field(description="Whether it answers.")]
    url: Annotated[str, Field(description="As its executor sees it.")]
    version: Annotated[str | None, Field(description="Its own; null when it is not known.")]
    device: Annotated[Device | None, Field(description="Null when it is not known.")]
    models: Annotated[Mapping[str, ModelFolder], Field(description="By its folders; those without any are left out.")]


class Executor(TypedDict):
    """An executor that reported within the last half minute."""

    id: Annotated[str, Field(description="Its id.")]
    lastSeenAt: Instant
    busy: Annotated[bool, Field(description="Whether it has any job.")]
    currentJobId: NotRequired[
        Annotated[str | None, Field(description="What its ComfyUI runs; null when that is nothing. Told to admins.")]
    ]
    version: Annotated[str, Field(description="Of the gateway that it runs.")]
    comfyui: ExecutorComfyUI


class Health(TypedDict):
    """How the gateway is."""

    ok: Annotated[bool, Field(description="True: it answers.")]
    version: Annotated[str, Field(description="Of the gateway.")]
    comfyui: ReachedComfyUI
    uptime: Annotated[float, Field(ge=0, description="Seconds, of the function that answers.")]
    executors: NotRequired[Annotated[Sequence[Executor], Field(description="To those who are signed in.")]]


class AuditActor(TypedDict):
    """Who did it."""

    owner: Annotated[str, Field(description="Whom the key or token belongs to.")]
    role: Role
    keyName: Annotated[str | None, Field(description="Of the API key; null for a token.")]


class AuditEntry(TypedDict):
    """One thing that an admin did."""

    at: Instant
    actor: AuditActor
    action: AuditAction
    target: Annotated[str, Field(description="Id of what it was done to.")]
    before: Annotated[str | None, Field(description="SHA-256 of what stood there; null when nothing did.")]
    after: Annotated[str | None, Field(description="SHA-256 of what stands there since; null when nothing does.")]
    correlationId: Annotated[str, Field(description="Of the request that did it.")]


class AuditList(TypedDict):
    """A page of the audit log, newest first."""

    entries: Sequence[AuditEntry]
    count: Count
    nextCursor: NextCursor


_JobCount = Annotated[int, Field(ge=0, description="How many jobs.")]


class JobCounts(TypedDict):
    """How many jobs there are of each status, and all in all."""

    queued: _JobCount
    running: _JobCount
    succeeded: _JobCount
    failed: _JobCount
    canceled: _JobCount
    total: _JobCount


class Stats(TypedDict):
    """What became of the jobs that are kept."""

    jobs: JobCounts
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
