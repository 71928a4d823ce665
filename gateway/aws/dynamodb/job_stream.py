"""Changes of jobs, read from records of the table's stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes, job_item
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import CountedJob, JobChange
from gateway.domain.page_position import PagePosition

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(record: Mapping[str, Any]) -> JobChange | None:
    """Read a record of the stream, as Lambda passes it; None when it is not of a job.

    Raises KeyError or ValueError for an item that no release of this gateway has written.
    """
    written = record["dynamodb"]
    if not job_item.is_key(written["Keys"]):
        return None
    before, after = written.get("OldImage"), written.get("NewImage")
    return JobChange(before and counted(before), after and counted(after))


def counted(item: attributes.Item) -> CountedJob:
    """Read the counted fields of a job's item."""
    fields = attributes.read(item)
    accepted = PagePosition.from_text(fields["jobOrder"])
    return CountedJob(
        id=accepted.id,
        correlation_id=fields["correlationId"],
        status=JobStatus(fields["status"]),
        created_at=accepted.at,
        started_at=timestamps.from_milliseconds(fields["startedAt"]) if "startedAt" in fields else None,
        execution_ms=fields.get("executionMs"),
        cache_hit=fields.get("cacheHit", False),
        error_code=json.loads(fields["error"])["code"] if "error" in fields else None,
    )
