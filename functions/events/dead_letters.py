"""Ends the jobs whose messages were received too often: nobody will take them any more.

    message ─┬─ job queued, or left by its executor ─▶ failed, EXECUTOR_LOST ─▶ event ─▶ gone
             ├─ job ended ─▶ the same event again ─▶ gone
             ├─ an executor holds the job ─▶ comes back: should that one be lost, this is what ends the job
             ├─ no such job ─▶ gone
             └─ no job's id to be read from it ─▶ gone; if there is a job to it, the sweeper ends that one

A crash at any point brings the message back, and what was done already is done again: one end, one event id.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.events.sqs_batch import each_message
from functions.wiring.events import EventWiring, entry_point, logger
from gateway.domain import timestamps
from gateway.domain.job import JobFailure
from gateway.domain.job_errors import JobNotClaimableError
from gateway.domain.messages import JobEndedEvent, job_id_in
from gateway.errors import ExecutorLostError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler
    from gateway.ports import EventBus, JobStore

# Executors write leases in AWS's time, which is this function's too, but no two clocks are the same.
_CLOCK_SKEW = timedelta(seconds=5)
_FAILURE = JobFailure(
    code=ExecutorLostError.code,
    message="The job was handed out again and again, and no executor brought it to its end.",
    retryable=True,
    recommendation="Look whether executors are running and what their logs say of this job, then send it again.",
)


def make_handler(background: EventWiring) -> Handler:
    """Put the function together."""
    dead_letters = _DeadLetters(background.jobs, background.bus)

    def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        return each_message(event, dead_letters.deal_with)

    return handler


class _DeadLetters:
    def __init__(self, jobs: JobStore, bus: EventBus) -> None:
        self._jobs = jobs
        self._bus = bus

    def deal_with(self, record: dict[str, Any]) -> bool:
        """Tell whether the message is done with. Its body is a caller's prompt: it is in no log."""
        job_id = job_id_in(record["body"])
        if job_id is None:
            # Keeping it helps nobody: it would come back for two weeks, and stand for no job that could be told.
            logger.error(
                "dead letter thrown away: no job's id in it",
                action="dead_letter_unreadable",
                message_id=record["messageId"],
                queue=record["eventSourceARN"],
                sent_at_ms=record["attributes"].get("SentTimestamp"),
                sender=record["attributes"].get("SenderId"),
                characters=len(record["body"]),
            )
            return True
        return self._end(job_id)

    def _end(self, job_id: str) -> bool:
        now = timestamps.now()
        try:
            job = self._jobs.fail_if_unleased(job_id, _FAILURE, now=now, leases_expired_before=now - _CLOCK_SKEW)
            logger.error("job lost", action="job_lost", job_id=job_id, correlation_id=job.correlation_id)
        except JobNotClaimableError as refused:
            if refused.job is None:
                logger.warning("dead letter of no job", action="dead_letter_without_job", job_id=job_id)
                return True
            if not refused.job.status.ended:
                logger.info("dead letter of a running job", action="dead_letter_left", job_id=job_id)
                return False
            job = refused.job
        self._bus.publish(JobEndedEvent.of(job))
        return True


handler = entry_point(make_handler)
