"""The metrics of jobs, from their changes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from functions.metrics import Metric, emit
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import CACHE_HITS, RUN_MS, RUNS, WAIT_MS, WAITS, DailyJobCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.job_counts import JobChange

_COUNTED = {
    WAITS: Metric.JOBS_STARTED,
    JobStatus.SUCCEEDED: Metric.JOBS_SUCCEEDED,
    JobStatus.CANCELED: Metric.JOBS_CANCELED,
    CACHE_HITS: Metric.CACHE_HITS,
}


def write_job_metrics(changes: Sequence[JobChange]) -> None:
    """Write the metrics of a hundred changes at most: one line, and one more for each code that jobs failed with."""
    total = sum((change.difference for change in changes), DailyJobCounts())
    values: dict[Metric, int | Sequence[int]] = {
        Metric.JOBS_ACCEPTED: sum(change.before is None for change in changes),
        **{metric: total[name] for name, metric in _COUNTED.items()},
        Metric.QUEUE_WAIT: [change.difference[WAIT_MS] for change in changes if change.difference[WAITS] == 1],
        Metric.RUN_TIME: [change.difference[RUN_MS] for change in changes if change.difference[RUNS] == 1],
    }
    if present := {metric: value for metric, value in values.items() if value}:
        emit(present)
    ended = [change.after for change in changes if change.after and change.ends]
    failed = Counter(job.error_code for job in ended if job.status is JobStatus.FAILED)
    for error_code, count in failed.items():
        emit({Metric.JOBS_FAILED: count}, error_code=error_code)
