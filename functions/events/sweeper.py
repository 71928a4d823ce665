"""Fail lost jobs: those that have neither a lease nor a message (see gateway.domain.lost_jobs).

    state of the last run ─▶ publish its events, in case it crashed ─▶ count the messages in the queues
      ─▶ read jobs, from the oldest that has not ended, as far as it can be known whether they are lost
      ─▶ lost ones: store their ids ─▶ fail each, unless an executor has claimed it meanwhile ─▶ publish the event
      ─▶ state of this run

A run starts behind the jobs that have all ended, so what it reads does not grow with the table; while no queue is
empty, it reads no job at all. After a crash between a failed job and its event, the next run finds the stored id and
publishes the event. If two runs overlap, they do not overwrite each other's state: the second does nothing.

One case remains: a caller repeats the request of a lost job with its idempotency key, which sends a new message. In
the last minute before the job is failed, that message may not be counted yet, and the job fails nevertheless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.logs import event_logger
from functions.wiring.events import EventWiring, entry_point
from gateway.aws.resources import JOB_QUEUES, SWEEPER
from gateway.domain import timestamps
from gateway.domain.job import JobFailure, Priority
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobEndedEvent
from gateway.errors import ExecutorLostError

if TYPE_CHECKING:
    from datetime import datetime

    from functions.wiring.events import EventFunction
    from gateway.domain.job import Job
    from gateway.domain.lost_jobs import SweepState

# Limits of one run, which has 60 s: the next run continues.
_MAX_JOBS_READ = 5000
_MAX_JOBS_FAILED = 500
_SCAN_SECONDS = 20.0
_MARGIN = timedelta(hours=1)

_MESSAGE_GONE = JobFailure(
    code=ExecutorLostError.code,
    message="The job had no message in the queue any more, so no executor would have run it.",
    retryable=True,
    recommendation="Submit it again.",
)
_TOO_OLD = JobFailure(
    code=ExecutorLostError.code,
    message="No executor finished the job within the time for which jobs wait.",
    retryable=True,
    recommendation="Check that executors are running, then submit it again.",
)


def make_function(wiring: EventWiring) -> EventFunction:
    """Make the function that sweeps once."""
    sweeper = _Sweeper(wiring)

    def sweep(_event: dict[str, Any]) -> None:
        sweeper.run()

    return sweep


@dataclass(frozen=True, slots=True)
class _Scan:
    """The result of reading jobs."""

    jobs_read: int
    lost: tuple[Job, ...]
    ended_before: datetime  # all jobs accepted before this have ended, once the lost ones are failed


class _Sweeper:
    def __init__(self, wiring: EventWiring) -> None:
        self._jobs = wiring.jobs
        self._job_list = wiring.job_list
        self._queue_depth = wiring.queue_depth
        self._sweeps = wiring.sweeps
        self._bus = wiring.bus
        self._clock = wiring.clock
        self._longest_wait = _longest_wait(wiring.settings.retention_days)

    def run(self) -> None:
        now = self._clock.now()
        known = self._sweeps.read()
        if now - known.counted_at < timedelta(seconds=SWEEPER.timeout_seconds):
            event_logger.warning("sweep skipped: another run is active", action="sweep_skipped")
            return
        for job_id in known.unannounced:
            self._publish_again(job_id)
        messages = {priority: self._queue_depth.messages(priority) for priority in Priority}
        sweep = replace(known, unannounced=()).after_count(messages, now)
        scan = self._scan(sweep)
        if scan.lost:
            stored = self._sweeps.write(replace(sweep, unannounced=tuple(job.id for job in scan.lost)))
            if stored is None:
                event_logger.warning("sweep skipped: another run is active", action="sweep_skipped")
                return
            sweep = replace(stored, unannounced=())
        remaining = [job for job in scan.lost if not self._fail(job, sweep)]
        ended_before = min([scan.ended_before, *(job.created_at for job in remaining)])
        self._sweeps.write(replace(sweep, ended_before=ended_before))
        event_logger.info(
            "swept",
            action="swept",
            messages=messages,
            jobs_read=scan.jobs_read,
            jobs_lost=len(scan.lost) - len(remaining),
            ended_before=timestamps.to_text(ended_before),
        )

    def _scan(self, sweep: SweepState) -> _Scan:
        """Read the jobs that can be known to be lost, oldest first, within the limits of one run."""
        until = max(sweep.accepted_before(priority, self._longest_wait) for priority in Priority)
        if until <= sweep.ended_before:
            return _Scan(0, (), sweep.ended_before)
        deadline = self._clock.monotonic() + _SCAN_SECONDS
        lost: list[Job] = []
        oldest_running: datetime | None = None
        jobs_read = 0
        for jobs_read, job in enumerate(self._job_list.accepted(sweep.ended_before, until), start=1):
            if sweep.is_lost(job, self._longest_wait):
                lost.append(job)
            elif not job.status.ended:
                oldest_running = oldest_running or job.created_at
            if jobs_read == _MAX_JOBS_READ or len(lost) == _MAX_JOBS_FAILED or self._clock.monotonic() > deadline:
                until = job.created_at
                break
        return _Scan(jobs_read, tuple(lost), oldest_running or until)

    def _fail(self, job: Job, sweep: SweepState) -> bool:
        """Fail a job and publish its event; return False when it continues after all."""
        too_old = job.created_at < sweep.counted_at - self._longest_wait
        try:
            ended = self._jobs.fail_if_unleased(
                job.id,
                _TOO_OLD if too_old else _MESSAGE_GONE,
                now=self._clock.now(),
                leases_expired_before=sweep.leases_expired_before,
            )
        except JobNotClaimableError as refused:
            return refused.job is None or refused.job.status.ended
        event_logger.error(
            "job lost", action="job_lost", job_id=job.id, correlation_id=job.correlation_id, too_old=too_old
        )
        self._bus.publish(JobEndedEvent.of(ended))
        return True

    def _publish_again(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None and job.status.ended:
            self._bus.publish(JobEndedEvent.of(job))


def _longest_wait(retention_days: int) -> timedelta:
    """Return how old a job can get without running: as old as its message, and never as old as its record."""
    message = timedelta(seconds=max(queue.retention_seconds for queue in JOB_QUEUES.values())) + _MARGIN
    record = timedelta(days=retention_days) - _MARGIN
    return min(message, record)


handler = entry_point(make_function)
