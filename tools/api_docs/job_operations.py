"""`/jobs` in words."""

from __future__ import annotations

from functions.api import responses
from functions.api.requests import JobRequest
from functions.rendering.job_json import JobJson
from gateway.domain.job import JobStatus
from gateway.errors import IdempotencyMismatchError, JobNotFoundError, StateConflictError, WorkflowNotFoundError
from gateway.limits import MAX_IDEMPOTENCY_KEY_CHARACTERS, MAX_WAIT_SECONDS
from tools.api_docs import examples
from tools.api_docs.operation import (
    CURSOR,
    JOB_ID,
    LIMIT,
    WORKFLOW_ID_SCHEMA,
    Answer,
    Operation,
    Parameter,
    Request,
    Tag,
    query,
)

_INSTANT = {"type": "string", "format": "date-time"}
_WITH_JOB = {"jobId": "$response.body#/jobId"}

JOB_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/jobs",
        id="createJob",
        tag=Tag.JOBS,
        summary="Run a workflow",
        description="Checks the inputs and puts the job into its queue. A 202 means that it will end: in success, in "
        "failure, or canceled. With an idempotency key (the header, or `requestId` in the metadata) a request that is "
        "sent again is answered with the first one's job, for as long as that is kept.",
        parameters=(
            Parameter(
                name="Idempotency-Key",
                where="header",
                schema={"type": "string", "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
                description="Names this request, so that sending it twice runs it once.",
            ),
        ),
        request=Request(model=JobRequest, example=examples.JOB_REQUEST),
        answers={
            200: Answer(
                description="Done already: its inputs, seed included, are those of an earlier job.",
                body=responses.JobFromCacheJson,
                examples={"cacheHit": examples.JOB_FROM_CACHE},
            ),
            202: Answer(
                description="Accepted. Poll `pollUrl`.",
                body=responses.JobAcceptedJson,
                examples={"accepted": examples.JOB_ACCEPTED},
                links={"getJob": _WITH_JOB, "getJobLog": _WITH_JOB, "cancelJob": _WITH_JOB, "listOutputs": _WITH_JOB},
            ),
        },
        errors=(WorkflowNotFoundError, IdempotencyMismatchError),
    ),
    Operation(
        method="GET",
        path="/jobs",
        id="listJobs",
        tag=Tag.JOBS,
        summary="List jobs",
        description="Newest first. Follow `nextCursor` until it is null: with a filter a page can be short, or empty, "
        "and yet not be the last.",
        parameters=(
            query("status", {"type": "string", "enum": list(JobStatus)}, "Only jobs that stand so."),
            query("workflowId", WORKFLOW_ID_SCHEMA, "Only jobs of this workflow."),
            query("after", _INSTANT, "Only jobs accepted at this instant or later."),
            query("before", _INSTANT, "Only jobs accepted before this instant."),
            LIMIT,
            CURSOR,
            query("offset", {"type": "integer", "enum": [0]}, "For older clients; follow `nextCursor` instead."),
        ),
        answers={200: Answer(description="A page.", body=responses.JobListJson, examples={"page": examples.JOB_LIST})},
    ),
    Operation(
        method="GET",
        path="/jobs/{jobId}",
        id="getJob",
        tag=Tag.JOBS,
        summary="See how a job stands",
        description="With `wait` the answer is held until the job has ended, or the time is up.",
        parameters=(
            JOB_ID,
            query(
                "wait", {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS}, "Seconds to wait for its end."
            ),
        ),
        answers={
            200: Answer(
                description="The job as it is now.",
                body=JobJson,
                examples={"succeeded": examples.JOB_SUCCEEDED, "failed": examples.JOB_FAILED},
            )
        },
        errors=(JobNotFoundError,),
    ),
    Operation(
        method="GET",
        path="/jobs/{jobId}/logs",
        id="getJobLog",
        tag=Tag.JOBS,
        summary="Read what happened to a job",
        description="Attempts, failures and the end, in order. There are no inner addresses or paths in it.",
        parameters=(JOB_ID,),
        answers={200: Answer(description="The log.", body=responses.JobLogJson, examples={"log": examples.JOB_LOG})},
        errors=(JobNotFoundError,),
    ),
    Operation(
        method="POST",
        path="/jobs/{jobId}/cancel",
        id="cancelJob",
        tag=Tag.JOBS,
        summary="Cancel a job",
        description="A queued job is canceled at once. A running one is interrupted on the GPU within two seconds.",
        parameters=(JOB_ID,),
        answers={
            200: Answer(
                description="It will end, or has just ended.",
                body=responses.CancelAnswerJson,
                examples={"canceled": examples.CANCELED},
            )
        },
        errors=(JobNotFoundError, StateConflictError),
    ),
)
