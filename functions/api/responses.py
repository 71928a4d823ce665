"""The JSON bodies of the API's responses.

Type checkers check them where handlers build bodies, and tools.api_docs documents them. Modules that serve requests
import this one for its types only, so that no cold start pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict  # pydantic cannot read typing's own before Python 3.12

from functions.rendering.job_json import JobJson, LogLineJson, OutputJson
from functions.rendering.json_types import Instant, JobId
from gateway.domain.audit import AuditAction
from gateway.domain.job import JobStatus
from gateway.domain.principal import Role

Count = Annotated[int, Field(ge=0, description="Number of entries in this response.")]
NextCursor = Annotated[
    str | None, Field(description="Send it as `cursor` to get the next page. Null on the last page.", max_length=200)
]


class ProblemJson(TypedDict):
    """A problem with one part of the request."""

    path: Annotated[str, Field(description="Part of the request, such as `inputs.steps`. Empty for the whole.")]
    message: Annotated[str, Field(description="Description of the problem.")]


class ErrorDetailsJson(TypedDict):
    """Machine-readable details of an error."""

    errors: Annotated[Sequence[ProblemJson], Field(description="All problems found, up to 100.")]


class ErrorJson(TypedDict):
    """The body of every error response."""

    error: Annotated[str, Field(description="Error code.", pattern="^[A-Z_]+$")]
    message: Annotated[str, Field(description="Human-readable description of the error.")]
    details: Annotated[ErrorDetailsJson | None, Field(description="Details of a VALIDATION_ERROR, else null.")]
    retryable: Annotated[bool, Field(description="Whether the same request can succeed later.")]
    correlationId: Annotated[
        str, Field(description="Value of `X-Correlation-Id`. Include it when you report a problem.")
    ]


class JobAcceptedJson(TypedDict):
    """A job that has been accepted, or the earlier job with the same idempotency key."""

    jobId: JobId
    status: JobStatus
    etaSeconds: Annotated[
        int,
        Field(ge=0, description="Estimated time until the job ends, from recent run times. 0 if idle or unknown."),
    ]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class JobFromCacheJson(TypedDict):
    """A job that was served from the result cache, with the outputs of an equal earlier job."""

    jobId: JobId
    status: Literal["cache_hit"]
    outputs: Annotated[Sequence[OutputJson], Field(description="Output files.")]
    pollUrl: Annotated[str, Field(description="Path of the job.")]


class JobListJson(TypedDict):
    """A page of jobs, newest first."""

    jobs: Sequence[JobJson]
    count: Count
    nextCursor: NextCursor


class JobLogJson(TypedDict):
    """The log of a job, oldest line first."""

    jobId: JobId
    logs: Sequence[LogLineJson]


class CancelAnswerJson(TypedDict):
    """A canceled job. `status` is `running` until the executor has interrupted the job."""

    jobId: JobId
    status: JobStatus
    message: Annotated[str, Field(description="Human-readable result.")]


class OutputListJson(TypedDict):
    """The output files of a job. Empty until the job has succeeded."""

    jobId: JobId
    files: Sequence[OutputJson]


class OutputContentJson(TypedDict):
    """The content of an output file as base64."""

    filename: Annotated[str, Field(description="File name.")]
    contentType: Annotated[str, Field(description="Media type.")]
    size: Annotated[int, Field(ge=0, description="Size in bytes, before base64.")]
    data: Annotated[str, Field(description="Content of the file.", json_schema_extra={"contentEncoding": "base64"})]


class WorkflowSummaryJson(TypedDict):
    """A workflow in short form."""

    id: Annotated[str, Field(description="Id of the workflow, which jobs refer to.")]
    name: Annotated[str, Field(description="Display name.")]
    description: Annotated[str, Field(description="What the workflow produces.")]


class WorkflowHeadJson(WorkflowSummaryJson):
    """A workflow without its graph, as in lists."""

    version: Annotated[int, Field(ge=1, description="Version. Increases by one with each change.")]
    createdAt: Instant
    updatedAt: Instant


class WorkflowListJson(TypedDict):
    """All workflows, sorted by id."""

    workflows: Sequence[WorkflowHeadJson]
    count: Count


class WorkflowJson(WorkflowHeadJson):
    """A workflow with its graph, input schema and default parameters."""

    workflowJson: Annotated[
        Mapping[str, Any], Field(description="ComfyUI graph, with `{{name}}` tokens for inputs and parameters.")
    ]
    inputSchema: Annotated[Mapping[str, Any], Field(description="JSON Schema (2020-12) of the inputs of a job.")]
    defaultParams: Annotated[Mapping[str, Any], Field(description="Values of the tokens that are not inputs.")]


class WorkflowAnswerJson(TypedDict):
    """A single workflow."""

    workflow: WorkflowJson


class CapabilitiesJson(TypedDict):
    """The workflows, models and limits of the gateway."""

    workflows: Sequence[WorkflowSummaryJson]
    models: Annotated[
        Mapping[str, Sequence[str]],
        Field(description="Models that are available on a ComfyUI now, by folder. Up to 200 per folder."),
    ]
    maxSize: Annotated[int, Field(ge=1, description="Maximum `width` and `height`, in pixels.")]
    maxBatch: Annotated[int, Field(ge=1, description="Maximum `batch_size`.")]
    formats: Annotated[Sequence[str], Field(description="File formats that ComfyUI's built-in nodes save.")]
    storageProvider: Literal["s3"]


class ReachedComfyUIJson(TypedDict):
    """Whether any ComfyUI is reachable. Authenticated callers also get its address and checkpoints."""

    reachable: Annotated[bool, Field(description="Whether an executor has reported it within the last 30 seconds.")]
    url: NotRequired[Annotated[str, Field(description="Address of the first reachable ComfyUI, for its executor.")]]
    models: NotRequired[Annotated[Sequence[str], Field(description="Checkpoints of all reachable ComfyUIs.")]]


class DeviceJson(TypedDict):
    """The device that a ComfyUI runs on."""

    name: Annotated[str, Field(description="Name that ComfyUI reports.")]
    vramTotalBytes: Annotated[
        int, Field(ge=0, description="Memory of the device. Main memory if the machine has no GPU.")
    ]
    vramFreeBytes: Annotated[int, Field(ge=0, description="Free memory of the device.")]


class ModelFolderJson(TypedDict):
    """The models in one folder."""

    count: Annotated[int, Field(ge=1, description="Number of models.")]
    names: Annotated[Sequence[str], Field(description="The first 200 names in alphabetical order.")]


class ExecutorComfyUIJson(TypedDict):
    """The ComfyUI of an executor."""

    reachable: Annotated[bool, Field(description="Whether it is reachable.")]
    url: Annotated[str, Field(description="Its address, for its executor.")]
    version: Annotated[str | None, Field(description="Version of ComfyUI. Null if unknown.")]
    device: Annotated[DeviceJson | None, Field(description="Null if unknown.")]
    models: Annotated[Mapping[str, ModelFolderJson], Field(description="Models by folder, without empty folders.")]


class ExecutorJson(TypedDict):
    """An executor that has sent a heartbeat within the last 30 seconds."""

    id: Annotated[str, Field(description="Id of the executor.")]
    lastSeenAt: Instant
    busy: Annotated[bool, Field(description="Whether it holds a job.")]
    currentJobId: NotRequired[
        Annotated[str | None, Field(description="The job that its ComfyUI is running. Null if none. For admins only.")]
    ]
    version: Annotated[str, Field(description="Gateway version that the executor runs.")]
    comfyui: ExecutorComfyUIJson


class HealthJson(TypedDict):
    """The health of the gateway."""

    ok: Annotated[bool, Field(description="Always true.")]
    version: Annotated[str, Field(description="Version of the gateway.")]
    comfyui: ReachedComfyUIJson
    uptime: Annotated[float, Field(ge=0, description="Uptime in seconds of the process that served the request.")]
    executors: NotRequired[
        Annotated[Sequence[ExecutorJson], Field(description="Active executors. For authenticated callers only.")]
    ]


class AuditActorJson(TypedDict):
    """The admin who made a change."""

    owner: Annotated[str, Field(description="Owner of the key or token.")]
    role: Role
    keyName: Annotated[str | None, Field(description="Name of the API key. Null for a JWT.")]


class AuditEntryJson(TypedDict):
    """A change that an admin made."""

    at: Instant
    actor: AuditActorJson
    action: AuditAction
    target: Annotated[str, Field(description="Id of the changed object.")]
    before: Annotated[str | None, Field(description="SHA-256 of the content before the change. Null if created.")]
    after: Annotated[str | None, Field(description="SHA-256 of the content after the change. Null if deleted.")]
    correlationId: Annotated[str, Field(description="Correlation id of the request.")]


class AuditListJson(TypedDict):
    """A page of the audit log, newest first."""

    entries: Sequence[AuditEntryJson]
    count: Count
    nextCursor: NextCursor


_JobCount = Annotated[int, Field(ge=0, description="Number of jobs.")]


class JobCountsJson(TypedDict):
    """The number of jobs by status, and in total."""

    queued: _JobCount
    running: _JobCount
    succeeded: _JobCount
    failed: _JobCount
    canceled: _JobCount
    total: _JobCount


class StatsJson(TypedDict):
    """Statistics of the stored jobs."""

    jobs: JobCountsJson
    failedByCode: Annotated[Mapping[str, int], Field(description="Number of failed jobs by error code.")]
    averageProcessingTimeMs: Annotated[
        int | None,
        Field(ge=0, description="Average run time on ComfyUI, without waiting time. Null if no job has run."),
    ]
    averageQueueWaitMs: Annotated[
        int | None, Field(ge=0, description="Average time from creation to start. Null if no job has started.")
    ]
    cacheHitRate: Annotated[
        float | None,
        Field(ge=0, le=1, description="Share of jobs served from the result cache. Null if there are no jobs."),
    ]
    since: Annotated[Instant, Field(description="Start of the period: older jobs are not counted.")]


class DeliveryAttemptJson(TypedDict):
    """One attempt to deliver a webhook."""

    attempt: Annotated[int, Field(ge=1, description="Number of the attempt.")]
    timestamp: Instant
    durationMs: Annotated[int | None, Field(ge=0, description="Duration. Null if the attempt was interrupted.")]
    statusCode: Annotated[int | None, Field(description="Status of the response. Null without a response.")]
    error: Annotated[str | None, Field(description="Why the delivery failed. Null if it succeeded.")]
    nextAttemptAt: Annotated[Instant | None, Field(description="Time of the next attempt. Null if there is none.")]


class DeliveryListJson(TypedDict):
    """The delivery attempts of a job's webhook."""

    jobId: JobId
    deliveries: Annotated[Sequence[DeliveryAttemptJson], Field(description="The last 40 attempts, oldest first.")]


class DeliveryRequestedJson(TypedDict):
    """A webhook that will be sent again."""

    jobId: JobId
    webhookId: Annotated[str, Field(description="The `webhook-id` header, same as in earlier deliveries.")]
    message: Annotated[str, Field(description="Human-readable result.")]


class WebhookTestResultJson(TypedDict):
    """The result of a sample webhook."""

    delivered: Annotated[bool, Field(description="Whether the receiver responded with a 2xx status in time.")]
    statusCode: Annotated[int | None, Field(description="Status of the response. Null without a response.")]
    durationMs: Annotated[int, Field(ge=0, description="Duration of the attempt.")]
    error: Annotated[str | None, Field(description="Why the delivery failed. Null if it succeeded.")]
    webhookId: Annotated[str, Field(description="The `webhook-id` header of the sample.")]
