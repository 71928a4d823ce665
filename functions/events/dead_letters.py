"""Fail the jobs whose messages were received too often: no executor will receive them again.

    message ─┬─ job queued, or abandoned by its executor ─▶ failed, EXECUTOR_LOST ─▶ event ─▶ message deleted
             ├─ job ended ─▶ the same event again ─▶ message deleted
             ├─ an executor holds the job ─▶ comes back: if that executor is lost, this message fails the job
             ├─ no such job ─▶ message deleted
             └─ no job id in the body ─▶ message deleted; if it belonged to a job, the sweeper fails that one

A crash at any point brings the message back, and every step is idempotent: one terminal status, one event id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.events.sqs_batch import each_message
from functions.logs import event_logger
from functions.wiring.events import EventWiring, entry_point
from gateway.domain.job import JobFailure
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobEndedEvent, job_id_in
from gateway.errors import ExecutorLostError

if TYPE_CHECKING:
    from functions.wiring.events import EventFunction
    from gateway.ports import Clock, EventBus, JobStore

# Executors write leases in AWS's time, which this function uses as well, but no two clocks are equal.
_CLOCK_SKEW = timedelta(seconds=5)
_FAILURE = JobFailure(
    code=ExecutorLostError.code,
    message="The job was received again and again, and no executor finished it.",
    retryable=True,
    recommendation="Check that executors are running and what their logs contain about this job, then submit it again.",
)


def make_function(wiring: EventWiring) -> EventFunction:
    """Make the function that processes a batch of dead letters."""
    return each_message(_DeadLetterProcessor(wiring.jobs, wiring.bus, wiring.clock).process)


class _DeadLetterProcessor:
    def __init__(self, jobs: JobStore, bus: EventBus, clock: Clock) -> None:
        self._jobs = jobs
        self._bus = bus
        self._clock = clock

    def process(self, record: dict[str, Any]) -> bool:
        """Return whether the message is finished. Its body contains a caller's prompt and is never logged."""
        job_id = job_id_in(record["body"])
        if job_id is None:
            # Do not keep it: it would be redelivered for two weeks without a job to report.
            event_logger.error(
                "dead letter unreadable",
                action="dead_letter_unreadable",
                message_id=record["messageId"],
                queue=record["eventSourceARN"],
                sent_at_ms=record["attributes"].get("SentTimestamp"),
                sender=record["attributes"].get("SenderId"),
                characters=len(record["body"]),
            )
            return True
        return self._fail_job(job_id)

    def _fail_job(self, job_id: str) -> bool:
        now = self._clock.now()
        try:
            job = self._jobs.fail_if_unleased(job_id, _FAILURE, now=now, leases_expired_before=now - _CLOCK_SKEW)
            event_logger.error("job lost", action="job_lost", job_id=job_id, correlation_id=job.correlation_id)
        except JobNotClaimableError as refused:
            if refused.job is None:
                event_logger.warning("dead letter without job", action="dead_letter_without_job", job_id=job_id)
                return True
            if not refused.job.status.ended:
                event_logger.info("dead letter of a running job", action="dead_letter_left", job_id=job_id)
                return False
            job = refused.job
        self._bus.publish(JobEndedEvent.of(job))
        return True


handler = entry_point(make_function)
