"""Counts jobs: called with what the table's stream tells, it keeps the counts of GET /stats and writes the metrics.

So both follow the records of jobs, whoever wrote them and however a job ended, and no request and no executor waits
for it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from functions.events.metric_values import write_job_metrics
from functions.wiring.events import EventWiring, entry_point, logger
from gateway.aws.dynamodb import job_stream
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import DailyJobCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler
    from gateway.domain.job_counts import JobChange

_NAMESPACE = uuid.UUID("4f3d3a52-7f2a-4f0e-8a58-6c5bb3a4e0c9")


def make_handler(background: EventWiring) -> Handler:
    """Put the function together."""
    job_counts = background.job_counts

    def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        # When this raises, Lambda sends the very same batch again. Counts that were written before are not written
        # twice: their batch is known by its id for ten minutes, far longer than Lambda waits. Metrics can be.
        changes = [change for change in _changes(event["Records"]) if change.difference]
        if changes:
            job_counts.add(_differences(changes), batch_id=_batch_id(event["Records"]))
            write_job_metrics(changes)
            _log_ends(changes)
        return {}

    return handler


def _changes(records: Iterable[Mapping[str, Any]]) -> Iterator[JobChange]:
    for record in records:
        try:
            change = job_stream.read(record)
        except (KeyError, ValueError) as error:
            # It would be the same each time, and all that comes after it would wait.
            key, reason = record["dynamodb"]["Keys"]["pk"]["S"], type(error).__name__
            logger.error("job not counted", action="job_not_counted", key=key, reason=reason)
            continue
        if change:
            yield change


def _differences(changes: Iterable[JobChange]) -> Mapping[date, DailyJobCounts]:
    differences: defaultdict[date, DailyJobCounts] = defaultdict(DailyJobCounts)
    for change in changes:
        differences[change.day].update(change.difference)
    return differences


def _batch_id(records: Iterable[Mapping[str, Any]]) -> str:
    return str(uuid.uuid5(_NAMESPACE, ",".join(record["eventID"] for record in records)))


def _log_ends(changes: Iterable[JobChange]) -> None:
    for change in changes:
        if (job := change.after) and change.ends:
            # A line for each job is money, and those that succeeded have one of their executor.
            tell = logger.debug if job.status is JobStatus.SUCCEEDED else logger.info
            tell(
                "end of a job counted",
                action="job_end_counted",
                job_id=job.id,
                correlation_id=job.correlation_id,
                status=job.status,
                error=job.error_code,
            )


handler = entry_point(make_handler)
