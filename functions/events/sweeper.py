"""Ends the jobs that nothing stands for any more: no lease, no message. When that is so, gateway.domain.lost_jobs says.

    what the last run knew ─▶ its announcements, should it have died ─▶ a look at the queues
      ─▶ the jobs from the oldest on that has not ended, as far as anything can be told of them
      ─▶ lost ones: note them ─▶ end each, unless somebody has taken it meanwhile ─▶ event
      ─▶ what this run knows

A job leaves the walk for good once it and all before it have ended, so what a run reads does not grow with the table;
while no queue is empty, it reads no job at all. A crash between an end and its event leaves the note, by which the
next run announces it. Two runs at once, should the clock strike twice, do not undo each other's notes: the second
does nothing.

What remains: a caller who repeats a request of a lost job, by its idempotency key, sends it a new message. When that
happens in the last minute before its end, the message may not be counted yet, and the job fails all the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.wiring.events import EventWiring, entry_point, logger
from gateway.aws.resources import JOB_QUEUES, SWEEPER
from gateway.domain import timestamps
from gateway.domain.job import JobFailure, Priority
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobEndedEvent
from gateway.errors import ExecutorLostError

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler
    from gateway.domain.job import Job
    from gateway.domain.lost_jobs import SweepState

# Of one run, which has 60 s: the rest is done by the next.
_MOST_READ = 5000
_MOST_ENDED = 500
_WALK_SECONDS = 20.0
_MARGIN = timedelta(hours=1)

_MESSAGE_GONE = JobFailure(
    code=ExecutorLostError.code,
    message="The job was not in the queue any more, so no executor would have run it.",
    retryable=True,
    recommendation="Send it again.",
)
_TOO_OLD = JobFailure(
    code=ExecutorLostError.code,
    message="No executor brought the job to its end in the time for which jobs are kept waiting.",
    retryable=True,
    recommendation="Look whether executors are running, then send it again.",
)


def make_handler(background: EventWiring) -> Handler:
    """Put the function together."""
    sweeper = _Sweeper(background)

    def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        sweeper.run()
        return {}

    return handler


@dataclass(frozen=True, slots=True)
class _Walk:
    """What going through the jobs brought up."""

    read: int
    lost: tuple[Job, ...]
    ended_before: datetime  # all jobs that were accepted before this have ended, once those that are lost have


class _Sweeper:
    def __init__(self, background: EventWiring) -> None:
        self._jobs = background.jobs
        self._job_list = background.job_list
        self._counts = background.counts
        self._sweeps = background.sweeps
        self._bus = background.bus
        self._longest_wait = _longest_wait(background.settings.retention_days)

    def run(self) -> None:
        now = timestamps.now()
        known = self._sweeps.read()
        if now - known.counted_at < timedelta(seconds=SWEEPER.timeout_seconds):
            logger.warning("another run is at work", action="sweep_left")
            return
        for job_id in known.unannounced:
            self._announce(job_id)
        messages = {priority: self._counts.messages(priority) for priority in Priority}
        sweep = replace(known, unannounced=()).after_count(messages, now)
        walk = self._walk(sweep)
        if walk.lost:
            noted = self._sweeps.write(replace(sweep, unannounced=tuple(job.id for job in walk.lost)))
            if noted is None:
                logger.warning("another run is at work", action="sweep_left")
                return
            sweep = replace(noted, unannounced=())
        left = [job for job in walk.lost if not self._end(job, sweep)]
        ended_before = min([walk.ended_before, *(job.created_at for job in left)])
        self._sweeps.write(replace(sweep, ended_before=ended_before))
        logger.info(
            "swept",
            action="swept",
            messages=messages,
            jobs_read=walk.read,
            jobs_lost=len(walk.lost) - len(left),
            ended_before=timestamps.to_text(ended_before),
        )

    def _walk(self, sweep: SweepState) -> _Walk:
        """Go through the jobs of which something can be told, oldest first, as far as one run goes."""
        until = max(sweep.accepted_before(priority, self._longest_wait) for priority in Priority)
        if until <= sweep.ended_before:
            return _Walk(0, (), sweep.ended_before)
        deadline = time.monotonic() + _WALK_SECONDS
        lost: list[Job] = []
        oldest_left: datetime | None = None
        read = 0
        for read, job in enumerate(self._job_list.accepted(sweep.ended_before, until), start=1):
            if sweep.is_lost(job, self._longest_wait):
                lost.append(job)
            elif not job.status.ended:
                oldest_left = oldest_left or job.created_at
            if read == _MOST_READ or len(lost) == _MOST_ENDED or time.monotonic() > deadline:
                until = job.created_at
                break
        return _Walk(read, tuple(lost), oldest_left or until)

    def _end(self, job: Job, sweep: SweepState) -> bool:
        """Fail a job and say so. False when it goes on after all."""
        too_old = job.created_at < sweep.counted_at - self._longest_wait
        try:
            ended = self._jobs.fail_if_unleased(
                job.id,
                _TOO_OLD if too_old else _MESSAGE_GONE,
                now=timestamps.now(),
                leases_expired_before=sweep.leases_expired_before,
            )
        except JobNotClaimableError as refused:
            return refused.job is None or refused.job.status.ended
        logger.error("job lost", action="job_lost", job_id=job.id, correlation_id=job.correlation_id, too_old=too_old)
        self._bus.publish(JobEndedEvent.of(ended))
        return True

    def _announce(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None and job.status.ended:
            self._bus.publish(JobEndedEvent.of(job))


def _longest_wait(retention_days: int) -> timedelta:
    """Say how old a job can get that does not run: as old as its message, and never as old as its record."""
    message = timedelta(seconds=max(queue.retention_seconds for queue in JOB_QUEUES.values())) + _MARGIN
    record = timedelta(days=retention_days) - _MARGIN
    return min(message, record)


handler = entry_point(make_handler)
