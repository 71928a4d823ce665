"""Lists of jobs from two indexes: one by owner, and one of all jobs in a few shards that are merged.

The indexes project nothing that changes. Owner, time and workflow narrow the query on the index; every other condition
is checked on the jobs themselves. Each page reads a limited number of entries and jobs.
"""

from __future__ import annotations

import heapq
import itertools
import time
from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes, job_item
from gateway.aws.resources import JOBS_BY_OWNER, JOBS_OF_ALL, LIST_SHARDS
from gateway.domain import timestamps
from gateway.domain.page_position import PagePosition
from gateway.ports import JobPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.aws.resources import IndexResource
    from gateway.domain.job import Job
    from gateway.domain.job_filter import JobFilter

MAX_READ_PER_PAGE = 1000  # index entries
_BATCH = 100  # the limit of BatchGetItem
# DynamoDB returns the keys that it has no capacity for; boto3 does not retry them itself.
_RETRY_DELAYS_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.4)
_BEFORE_ALL, _AFTER_ALL = "0", "9"  # a list is ordered by `2026-01-31T12:00:00.000Z#id`

_Entry = tuple[str, str, str]  # order, job id, workflow id


class DynamoJobList:
    """Implements the port `JobList`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def page(self, which: JobFilter, *, limit: int, position: PagePosition | None) -> JobPage:
        """Read the page after a position."""
        batch_size = _BATCH if which.is_selective else min(_BATCH, limit + 1)
        entries = self._entries(which, position, batch_size)
        found: list[Job] = []
        for _ in range(MAX_READ_PER_PAGE // batch_size):
            batch = list(itertools.islice(entries, batch_size))
            if not batch:
                return JobPage(found, None)
            if len(found) == limit:
                return JobPage(found, position)
            wanted = [job_id for _order, job_id, workflow_id in batch if which.workflow_id in (None, workflow_id)]
            jobs = self._read(wanted)
            for order, job_id, _workflow_id in batch:
                if len(found) == limit:
                    return JobPage(found, position)
                position = PagePosition.from_text(order)
                job = jobs.get(job_id)
                if job is not None and which.matches(job):
                    found.append(job)
        return JobPage(found, position)

    def accepted(self, since: datetime, before: datetime) -> Iterator[Job]:
        """Read all owners' jobs that were accepted in this period, oldest first. Reads lazily."""
        oldest, newest = timestamps.to_text(since), timestamps.to_text(before)
        sorted_lists = [
            self._query(JOBS_OF_ALL, str(shard), oldest, newest, _BATCH, newest_first=False)
            for shard in range(LIST_SHARDS)
        ]
        entries = heapq.merge(*sorted_lists)
        while batch := list(itertools.islice(entries, _BATCH)):
            job_ids = [job_id for _order, job_id, _workflow_id in batch]
            jobs = self._read(job_ids)
            yield from (jobs[job_id] for job_id in job_ids if job_id in jobs)

    def _entries(self, which: JobFilter, position: PagePosition | None, page_size: int) -> Iterator[_Entry]:
        """Yield the entries of the index, newest first, querying lazily."""
        behind = position.to_text() if position else _AFTER_ALL
        newest = min(behind, timestamps.to_text(which.before) if which.before else _AFTER_ALL)
        oldest = timestamps.to_text(which.after) if which.after else _BEFORE_ALL
        if oldest > newest:
            return iter(())
        partitions = (
            [(JOBS_BY_OWNER, which.owner)]
            if which.owner is not None
            else [(JOBS_OF_ALL, str(shard)) for shard in range(LIST_SHARDS)]
        )
        # The entry at the position is read again; it is not part of the page.
        read_at_once = page_size + 1 if position else page_size
        sorted_lists = [
            self._query(index, key, oldest, newest, read_at_once, newest_first=True) for index, key in partitions
        ]
        merged = heapq.merge(*sorted_lists, reverse=True)
        return (entry for entry in merged if entry[0] != behind)

    def _query(  # noqa: PLR0913  the parts of one query
        self, index: IndexResource, key: str, oldest: str, newest: str, page_size: int, *, newest_first: bool
    ) -> Iterator[_Entry]:
        start: dict[str, Any] = {}
        while True:
            response = self._client.query(
                TableName=self._table_name,
                IndexName=index.name,
                KeyConditionExpression="#partition = :key AND #sort BETWEEN :oldest AND :newest",
                ExpressionAttributeNames={"#partition": index.partition_key, "#sort": index.sort_key},
                ExpressionAttributeValues=attributes.write({":key": key, ":oldest": oldest, ":newest": newest}),
                ScanIndexForward=not newest_first,
                Limit=page_size,
                **start,
            )
            for item in response["Items"]:
                fields = attributes.read(item)
                order = fields[index.sort_key]
                yield order, order.split("#", 1)[1], fields["workflowId"]
            if "LastEvaluatedKey" not in response:
                return
            start = {"ExclusiveStartKey": response["LastEvaluatedKey"]}

    def _read(self, job_ids: list[str]) -> dict[str, Job]:
        """Read jobs by id; jobs that have expired meanwhile are left out."""
        jobs: dict[str, Job] = {}
        request: Any = {self._table_name: {"Keys": [job_item.key(job_id) for job_id in job_ids]}} if job_ids else {}
        for delay in _RETRY_DELAYS_SECONDS:
            if not request:
                return jobs
            time.sleep(delay)
            response = self._client.batch_get_item(RequestItems=request)
            for item in response["Responses"].get(self._table_name, []):
                job = job_item.read(item)
                jobs[job.id] = job
            request = response["UnprocessedKeys"]
        if request:
            raise TimeoutError("DynamoDB leaves keys unprocessed")
        return jobs
