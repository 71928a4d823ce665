"""A job as a DynamoDB item.

Every write to it is billed by each started KB of the item, so nothing is stored twice, and long fields are packed.
"""

from __future__ import annotations

import itertools
import json
import zlib
from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes, delivery_item
from gateway.aws.dynamodb.compression import pack, unpack
from gateway.aws.resources import JOB_PARTITION_PREFIX, JOB_SORT_KEY, LIST_SHARDS
from gateway.domain import timestamps
from gateway.domain.job import Job, JobFailure, JobStatus, LogLevel, LogLine, Output, Priority
from gateway.domain.page_position import PagePosition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def key(job_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    """Return the key of a job's item."""
    return attributes.write({"pk": f"{JOB_PARTITION_PREFIX}{job_id}", "sk": JOB_SORT_KEY})


def is_key(key: attributes.Item) -> bool:
    """Return whether a key is that of a job's item."""
    return bool(key["pk"]["S"].startswith(JOB_PARTITION_PREFIX) and key["sk"]["S"] == JOB_SORT_KEY)


def fields_of(job: Job, *, expires_at: datetime) -> dict[str, attributes.Value | None]:
    """Return the attributes of a new job, without those that only attempts write."""
    return {
        "pk": f"{JOB_PARTITION_PREFIX}{job.id}",
        "sk": JOB_SORT_KEY,
        **index_fields(job),
        "workflowId": job.workflow_id,
        "workflowVersion": job.workflow_version,
        "templateKey": job.template_key,
        "status": job.status,
        "priority": job.priority,
        "private": job.private or None,
        "inputs": None if job.inputs is None else pack(job.inputs),
        "params": pack(job.params) if job.params else None,
        "seed": job.seed,
        "metadata": pack(job.metadata) if job.metadata else None,
        "requestHash": job.request_hash,
        "correlationId": job.correlation_id,
        "attempt": job.attempt,
        "cacheKey": job.cache_key,
        # A job with a cached result has ended when it is created.
        "completedAt": None if job.completed_at is None else timestamps.to_milliseconds(job.completed_at),
        "outputs": None if job.outputs is None else pack_outputs(job.outputs),
        "cacheHit": job.cache_hit or None,
        "callbackUrl": job.callback_url,
        "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
    }


def index_fields(job: Job) -> dict[str, str]:
    """Return the attributes that put a job into the two lists: its owner, and when it was accepted.

    They never change, so each list costs one write.
    """
    return {
        "jobOwner": job.owner,
        "jobShard": str(zlib.crc32(job.id.encode()) % LIST_SHARDS),
        "jobOrder": PagePosition(job.created_at, job.id).to_text(),
    }


def read(item: attributes.Item) -> Job:
    """Read a job's item."""
    fields = attributes.read(item)

    def unpacked(name: str) -> Any:  # noqa: ANN401  JSON
        return unpack(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return timestamps.from_milliseconds(fields[name]) if name in fields else None

    status = JobStatus(fields["status"])
    accepted = PagePosition.from_text(fields["jobOrder"])
    return Job(
        id=accepted.id,
        owner=fields["jobOwner"],
        workflow_id=fields["workflowId"],
        workflow_version=fields["workflowVersion"],
        template_key=fields["templateKey"],
        status=status,
        priority=Priority(fields["priority"]),
        private=fields.get("private", False),
        inputs=unpacked("inputs"),
        params=unpacked("params") or {},
        seed=fields.get("seed"),
        metadata=unpacked("metadata") or {},
        request_hash=fields.get("requestHash"),
        correlation_id=fields["correlationId"],
        created_at=accepted.at,
        attempt=fields["attempt"],
        uncounted_attempts=fields.get("uncounted", 0),
        lease_owner=fields.get("leaseOwner"),
        lease_expires_at=moment("leaseExpiresAt"),
        progress=100 if status is JobStatus.SUCCEEDED else fields.get("progress"),
        cache_key=fields.get("cacheKey"),
        cache_hit=fields.get("cacheHit", False),
        cancel_requested=fields.get("cancelRequested", False),
        started_at=moment("startedAt"),
        completed_at=moment("completedAt"),
        execution_ms=fields.get("executionMs"),
        outputs=unpack_outputs(fields["outputs"]) if "outputs" in fields else None,
        error=JobFailure(**json.loads(fields["error"])) if "error" in fields else None,
        log=_unpack_log(fields["log"]) if "log" in fields else (),
        callback_url=fields.get("callbackUrl"),
        delivery=delivery_item.read(fields),
    )


def pack_outputs(outputs: Sequence[Output]) -> bytes:
    """Pack outputs as lists: names would take more space than the values."""
    return pack([[each.filename, each.key, each.size, each.sha256, each.content_type] for each in outputs])


def unpack_outputs(packed: bytes) -> tuple[Output, ...]:
    """Unpack the result of `pack_outputs`."""
    return tuple(
        Output(filename=filename, key=key, size=size, sha256=sha256, content_type=content_type)
        for filename, key, size, sha256, content_type in unpack(packed)
    )


def failure_text(failure: JobFailure) -> str:
    """Serialize an error. It is not packed, since readers of the table's stream need its code."""
    return attributes.to_json(
        {
            "code": failure.code,
            "message": failure.message,
            "retryable": failure.retryable,
            "recommendation": failure.recommendation,
        }
    )


def pack_log(log: Sequence[LogLine]) -> bytes:
    """Pack a log as lists, each with the milliseconds since the line before."""
    times = [timestamps.to_milliseconds(line.at) for line in log]
    since = [at - before for at, before in zip(times, [0, *times], strict=False)]
    return pack([[passed, line.level, line.message, line.node] for passed, line in zip(since, log, strict=True)])


def _unpack_log(packed: bytes) -> tuple[LogLine, ...]:
    lines = unpack(packed)
    times = itertools.accumulate(passed for passed, *_ in lines)
    return tuple(
        LogLine(at=timestamps.from_milliseconds(at), level=LogLevel(level), message=message, node=node)
        for at, (_, level, message, node) in zip(times, lines, strict=True)
    )
