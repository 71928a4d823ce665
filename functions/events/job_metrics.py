"""Count jobs: from the table's stream, maintain the counts of GET /stats and write the metrics.

So both follow the records of jobs, whatever wrote them and however a job ended, and no request and no executor waits
for them.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from functions.logs import event_logger
from functions.metrics import Metric, emit
from functions.wiring.events import EventWiring, entry_point
from gateway.aws.dynamodb import job_stream
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import CACHE_HITS, RUN_MS, RUNS, WAIT_MS, WAITS, DailyJobCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from functions.wiring.events import EventFunction
    from gateway.domain.job_counts import JobChange

_BATCH_ID_NAMESPACE = uuid.UUID("4f3d3a52-7f2a-4f0e-8a58-6c5bb3a4e0c9")
_METRIC_OF_COUNT = {
    WAITS: Metric.JOBS_STARTED,
    JobStatus.SUCCEEDED: Metric.JOBS_SUCCEEDED,
    JobStatus.CANCELED: Metric.JOBS_CANCELED,
    CACHE_HITS: Metric.CACHE_HITS,
}


def make_function(wiring: EventWiring) -> EventFunction:
    """Make the function that counts a batch of changes."""
    job_counts = wiring.job_counts

    def count(event: dict[str, Any]) -> None:
        # When this raises, Lambda sends the very same batch again. Counts are not added twice: their batch is known by
        # its id for ten minutes, far longer than Lambda retries. Metrics can be written twice.
        changes = [change for change in _changes(event["Records"]) if change.difference]
        if changes:
            job_counts.add(_differences(changes), batch_id=_batch_id(event["Records"]))
            write_job_metrics(changes)
            _log_ended_jobs(changes)

    return count


def write_job_metrics(changes: Sequence[JobChange]) -> None:
    """Write the metrics of at most a hundred changes: one line, and one more for each error code of failed jobs."""
    total = sum((change.difference for change in changes), DailyJobCounts())
    values: dict[Metric, int | Sequence[int]] = {
        Metric.JOBS_ACCEPTED: sum(change.before is None for change in changes),
        **{metric: total[count] for count, metric in _METRIC_OF_COUNT.items()},
        Metric.QUEUE_WAIT: [change.difference[WAIT_MS] for change in changes if change.difference[WAITS] == 1],
        Metric.RUN_TIME: [change.difference[RUN_MS] for change in changes if change.difference[RUNS] == 1],
    }
    if present := {metric: value for metric, value in values.items() if value}:
        emit(present)
    ended = [change.after for change in changes if change.after and change.ends]
    failed = Counter(job.error_code for job in ended if job.status is JobStatus.FAILED)
    for error_code, count in failed.items():
        emit({Metric.JOBS_FAILED: count}, error_code=error_code)


def _changes(records: Iterable[Mapping[str, Any]]) -> Iterator[JobChange]:
    for record in records:
        try:
            change = job_stream.read(record)
        except (KeyError, ValueError) as error:
            # It would fail each time, and block everything that comes after it.
            key, reason = record["dynamodb"]["Keys"]["pk"]["S"], type(error).__name__
            event_logger.error("job not counted", action="job_not_counted", key=key, reason=reason)
            continue
        if change:
            yield change


def _differences(changes: Iterable[JobChange]) -> Mapping[date, DailyJobCounts]:
    differences: defaultdict[date, DailyJobCounts] = defaultdict(DailyJobCounts)
    for change in changes:
        differences[change.day].update(change.difference)
    return differences


def _batch_id(records: Iterable[Mapping[str, Any]]) -> str:
    return str(uuid.uuid5(_BATCH_ID_NAMESPACE, ",".join(record["eventID"] for record in records)))


def _log_ended_jobs(changes: Iterable[JobChange]) -> None:
    for change in changes:
        # Every line costs money, and the executor has already logged each job that succeeded.
        if (job := change.after) and change.ends and job.status is not JobStatus.SUCCEEDED:
            event_logger.info(
                "job end counted",
                action="job_end_counted",
                job_id=job.id,
                correlation_id=job.correlation_id,
                status=job.status,
                error=job.error_code,
            )


handler = entry_point(make_function)
