"""Keeps the counts of jobs right from one run to the next.

They follow the table's stream, and what that has told is forgotten when the embedded AWS ends. So a run that ends in
order counts everything before, and leaves a mark. When a run finds none, the last one was killed, or was one of a
release that did not count: then jobs are counted, before anything is written.
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

_MARK = attributes.write({"pk": "LOCAL", "sk": "COUNTED"})


def make_counts_right(client: DynamoDBClient, table_name: str, job_counts: JobCountStore) -> None:
    """Count jobs, unless the last run has left a mark; take that away. To be called while nothing else writes."""
    if "Attributes" in client.delete_item(TableName=table_name, Key=_MARK, ReturnValues="ALL_OLD"):
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


def leave_mark(client: DynamoDBClient, table_name: str) -> None:
    """Say that all is counted. To be called when nothing is written any more."""
    client.put_item(TableName=table_name, Item=_MARK)
