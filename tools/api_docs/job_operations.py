"""Texts of the operations on jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from gateway.errors import IdempotencyMismatchError, JobNotFoundError, StateConflictError, WorkflowNotFoundError
from gateway.limits import MAX_IDEMPOTENCY_KEY_CHARACTERS, MAX_WAIT_SECONDS
from tools.api_docs import examples
from tools.api_docs.operation import (
    CURSOR,
    JOB_ID,
    LIMIT,
    WORKFLOW_ID_SCHEMA,
    OperationDoc,
    Parameter,
    ResponseDoc,
    Tag,
    query,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTANT = {"type": "string", "format": "date-time"}
_WITH_JOB = {"jobId": "$response.body#/jobId"}

JOB_OPERATIONS: Mapping[str, OperationDoc] = {
    "createJob": OperationDoc(
        tag=Tag.JOBS,
        description="Validates the inputs and queues the job. After a 202 the job always ends: `succeeded`, `failed` "
        "or `canceled`. With an idempotency key (the header, or `requestId` in the metadata), a repeated request "
        "returns the job of the first one while that job is stored.",
        parameters=(
            Parameter(
                name="Idempotency-Key",
                where="header",
                schema={"type": "string", "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
                description="Identifies this request, so that a retry does not run the job twice.",
            ),
        ),
        request_example=examples.JOB_REQUEST,
        responses={
            200: ResponseDoc(
                description="Served from the result cache: an earlier job ran with the same inputs and seed.",
                examples={"cacheHit": examples.JOB_FROM_CACHE},
            ),
            202: ResponseDoc(
                description="Accepted. Poll `pollUrl`, or wait for the webhook.",
                examples={"accepted": examples.JOB_ACCEPTED},
                links={"getJob": _WITH_JOB, "getJobLog": _WITH_JOB, "cancelJob": _WITH_JOB, "listOutputs": _WITH_JOB},
            ),
        },
        errors=(WorkflowNotFoundError, IdempotencyMismatchError),
    ),
    "listJobs": OperationDoc(
        tag=Tag.JOBS,
        description="Returns the newest jobs first. Follow `nextCursor` until it is null: with a filter, a page can be "
        "short or empty although more pages follow.",
        parameters=(
            query("status", {"type": "string", "enum": list(JobStatus)}, "Only jobs with this status."),
            query("workflowId", WORKFLOW_ID_SCHEMA, "Only jobs of this workflow."),
            query("after", _INSTANT, "Only jobs created at this time or later."),
            query("before", _INSTANT, "Only jobs created before this time."),
            LIMIT,
            CURSOR,
            query("offset", {"type": "integer", "enum": [0]}, "For older clients. Use `nextCursor` instead."),
        ),
        responses={200: ResponseDoc(description="A page of jobs.", examples={"page": examples.JOB_LIST})},
    ),
    "getJob": OperationDoc(
        tag=Tag.JOBS,
        description="Returns the current state of the job. With `wait`, the response is delayed until the job has "
        "ended or the time is up.",
        parameters=(
            JOB_ID,
            query(
                "wait",
                {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
                "Maximum number of seconds to wait for the job to end.",
            ),
        ),
        responses={
            200: ResponseDoc(
                description="The job.",
                examples={"succeeded": examples.JOB_SUCCEEDED, "failed": examples.JOB_FAILED},
            )
        },
        errors=(JobNotFoundError,),
    ),
    "getJobLog": OperationDoc(
        tag=Tag.JOBS,
        description="Returns attempts, failures and the final status, oldest first. Internal addresses and paths are "
        "removed from the messages.",
        parameters=(JOB_ID,),
        responses={200: ResponseDoc(description="The log of the job.", examples={"log": examples.JOB_LOG})},
        errors=(JobNotFoundError,),
    ),
    "cancelJob": OperationDoc(
        tag=Tag.JOBS,
        description="Cancels a queued job at once. A running job is interrupted on the GPU within two seconds.",
        parameters=(JOB_ID,),
        responses={
            200: ResponseDoc(
                description="The job has been canceled, or will be.", examples={"canceled": examples.CANCELED}
            )
        },
        errors=(JobNotFoundError, StateConflictError),
    ),
}
