"""Recount jobs at the start, unless the last run stopped in order.

Job counts follow the stream of the table, and the embedded AWS loses its stream when it stops. So a run that stops in
order first processes the whole stream and then writes a marker. Without a marker, the last run was killed, or was of a
release that did not count: then all jobs are counted, before anything is written. A run in which the event sources or
the embedded AWS were restarted leaves no marker either: the stream has been read twice, or has gaps.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes, job_stream
from gateway.aws.resources import JOB_PARTITION_PREFIX, JOB_SORT_KEY
from gateway.domain.job_counts import DailyJobCounts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.ports import JobCountStore

_MARKER = attributes.write({"pk": "LOCAL", "sk": "COUNTED"})


def recount_jobs(client: DynamoDBClient, table_name: str, job_counts: JobCountStore) -> None:
    """Recount all jobs, unless there is a marker; remove the marker. Call this while nothing else writes."""
    if "Attributes" in client.delete_item(TableName=table_name, Key=_MARKER, ReturnValues="ALL_OLD"):
        return
    counted: defaultdict[date, DailyJobCounts] = defaultdict(DailyJobCounts)
    pages = client.get_paginator("scan").paginate(
        TableName=table_name,
        FilterExpression="begins_with(pk, :prefix) AND sk = :sk",
        ExpressionAttributeValues=attributes.write({":prefix": JOB_PARTITION_PREFIX, ":sk": JOB_SORT_KEY}),
    )
    for job in (job_stream.counted(item) for page in pages for item in page["Items"]):
        counted[job.created_at.date()].update(job.contribution())
    stored = job_counts.since(date.min)
    for day in sorted({*counted, *stored}):
        difference = DailyJobCounts(counted[day])
        difference.subtract(stored.get(day, DailyJobCounts()))
        if any(difference.values()):
            job_counts.add({day: difference}, batch_id=str(uuid.uuid4()))


def forget_counted(client: DynamoDBClient, table_name: str) -> None:
    """Remove the marker after a run whose counts may be wrong, so that the next start recounts."""
    client.delete_item(TableName=table_name, Key=_MARKER)


def mark_counted(client: DynamoDBClient, table_name: str) -> None:
    """Write the marker: all jobs are counted. Call this when nothing writes any more."""
    client.put_item(TableName=table_name, Item=_MARKER)
