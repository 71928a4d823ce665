"""A job as a DynamoDB item."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from gateway.aws import attributes, delivery_item
from gateway.aws.resources import JOB_PARTITION_PREFIX, JOB_SORT_KEY, LIST_SHARDS
from gateway.domain import instant
from gateway.domain.job import Job, JobFailure, JobStatus, LogLevel, LogLine, Output, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def key(job_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    """Make the key of a job's item."""
    return attributes.write({"pk": f"{JOB_PARTITION_PREFIX}{job_id}", "sk": JOB_SORT_KEY})


def is_key(key: attributes.Item) -> bool:
    """Tell whether a key is that of a job's item."""
    return bool(key["pk"]["S"].startswith(JOB_PARTITION_PREFIX) and key["sk"]["S"] == JOB_SORT_KEY)


def fields_of(job: Job, *, expires_at: datetime) -> dict[str, str | int | bool | None]:
    """Everything a new job has; what only an attempt writes is not there yet."""
    return {
        "pk": f"{JOB_PARTITION_PREFIX}{job.id}",
        "sk": JOB_SORT_KEY,
        "jobId": job.id,
        **index_fields(job),
        "workflowId": job.workflow_id,
        "workflowVersion": job.workflow_version,
        "templateKey": job.template_key,
        "status": job.status,
        "priority": job.priority,
        "private": job.private or None,
        "inputs": None if job.inputs is None else attributes.to_json(job.inputs),
        "params": attributes.to_json(job.params) if job.params else None,
        "seed": job.seed,
        "metadata": attributes.to_json(job.metadata) if job.metadata else None,
        "requestHash": job.request_hash,
        "correlationId": job.correlation_id,
        "createdAt": instant.to_text(job.created_at),
        "attempt": job.attempt,
        "cacheKey": job.cache_key,
        # A result from the cache is a job's beginning and end at once.
        "completedAt": None if job.completed_at is None else instant.to_text(job.completed_at),
        "outputs": None if job.outputs is None else attributes.to_json([output_fields(o) for o in job.outputs]),
        "progress": job.progress,
        "cacheHit": job.cache_hit or None,
        "callbackUrl": job.callback_url,
        "expiresAt": instant.to_milliseconds(expires_at) // 1000,
    }


def index_fields(job: Job) -> dict[str, str]:
    """Make the attributes that put a job into the two lists. None ever changes, so each list costs one write."""
    return {
        "jobOwner": job.owner,
        "jobShard": str(zlib.crc32(job.id.encode()) % LIST_SHARDS),
        "jobOrder": f"{instant.to_text(job.created_at)}#{job.id}",
    }


def read(item: attributes.Item) -> Job:
    """Read a job's item."""
    fields = attributes.read(item)

    def structured(name: str) -> Any:  # noqa: ANN401  JSON
        return json.loads(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return instant.from_text(fields[name]) if name in fields else None

    outputs = structured("outputs")
    error = structured("error")
    log = structured("log") or []
    return Job(
        id=fields["jobId"],
        owner=fields["jobOwner"],
        workflow_id=fields["workflowId"],
        workflow_version=fields["workflowVersion"],
        template_key=fields["templateKey"],
        status=JobStatus(fields["status"]),
        priority=Priority(fields["priority"]),
        private=fields.get("private", False),
        inputs=structured("inputs"),
        params=structured("params") or {},
        seed=fields.get("seed"),
        metadata=structured("metadata") or {},
        request_hash=fields.get("requestHash"),
        correlation_id=fields["correlationId"],
        created_at=instant.from_text(fields["createdAt"]),
        attempt=fields["attempt"],
        uncounted=fields.get("uncounted", 0),
        lease_owner=fields.get("leaseOwner"),
        lease_expires_at=instant.from_milliseconds(fields["leaseExpiresAt"]) if "leaseExpiresAt" in fields else None,
        progress=fields.get("progress"),
        cache_key=fields.get("cacheKey"),
        cache_hit=fields.get("cacheHit", False),
        cancel_requested=fields.get("cancelRequested", False),
        started_at=moment("startedAt"),
        completed_at=moment("completedAt"),
        execution_ms=fields.get("executionMs"),
        outputs=None if outputs is None else tuple(read_output(output) for output in outputs),
        error=None if error is None else JobFailure(**error),
        log=tuple(_read_line(*line) for line in log),
        callback_url=fields.get("callbackUrl"),
        delivery=delivery_item.read(fields),
    )


def output_fields(output: Output) -> dict[str, Any]:
    """Write an output for a job's item."""
    return {
        "filename": output.filename,
        "key": output.key,
        "size": output.size,
        "sha256": output.sha256,
        "contentType": output.content_type,
    }


def read_output(stored: dict[str, Any]) -> Output:
    """Read what `output_fields` wrote."""
    return Output(
        filename=stored["filename"],
        key=stored["key"],
        size=stored["size"],
        sha256=stored["sha256"],
        content_type=stored["contentType"],
    )


def failure_fields(failure: JobFailure) -> dict[str, Any]:
    """Write an error for a job's item."""
    return {
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "recommendation": failure.recommendation,
    }


def log_fields(log: Sequence[LogLine]) -> list[list[int | str | None]]:
    """Write a log for a job's item: lists, as names would take more room than what they name."""
    return [[instant.to_milliseconds(line.at), line.level, line.message, line.node] for line in log]


def _read_line(at: int, level: str, message: str, node: str | None) -> LogLine:
    return LogLine(at=instant.from_milliseconds(at), level=LogLevel(level), message=message, node=node)
