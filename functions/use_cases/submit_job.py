"""Submit a job: from a checked request to a record and a message.

    plan ─┬─ no cached result ─▶ put the record, if its id is free ─▶ send the message ─▶ accepted
          └─ cached result ────▶ put the record, already ended ─────▶ publish the event ─▶ accepted

Bad input fails before anything is written. A crash between record and message leaves a queued job
without a message; the caller got no response, and a retry with the same idempotency key sends the message again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from functions.logs import api_logger
from gateway.domain.job import Job, JobStatus, idempotent_job_id, new_job_id
from gateway.domain.messages import MAX_MESSAGE_PROMPT_BYTES, JobEndedEvent, JobMessage
from gateway.domain.object_keys import PROMPT_PREFIX
from gateway.errors import IdempotencyMismatchError, RequestInvalidError, WorkflowNotFoundError

if TYPE_CHECKING:
    from functions.use_cases.eta import EtaEstimator
    from functions.use_cases.plan_job import EncodedPrompt, JobPlan, JobPlanner
    from functions.webhooks.callback_check import CallbackCheck
    from gateway.domain.submission import Submission
    from gateway.ports import Clock, EventBus, JobQueue, JobStore, ObjectStore


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """An accepted job. `eta_seconds`: the estimate until it ends."""

    job: Job
    eta_seconds: int


class JobSubmitter:
    """Submits jobs. `prompts`: where prompts too large for a message go."""

    def __init__(  # noqa: PLR0913  each a different port or part
        self,
        *,
        planner: JobPlanner,
        callbacks: CallbackCheck,
        estimator: EtaEstimator,
        jobs: JobStore,
        queue: JobQueue,
        prompts: ObjectStore,
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._planner = planner
        self._callbacks = callbacks
        self._estimator = estimator
        self._jobs = jobs
        self._queue = queue
        self._prompts = prompts
        self._bus = bus
        self._clock = clock

    def submit(self, submission: Submission) -> SubmittedJob:
        """Accept a job, or return the one that was accepted before with the same idempotency key.

        Raises WorkflowNotFoundError, RequestInvalidError or IdempotencyMismatchError.
        """
        # Estimate first: a failure after accepting would return an error for an accepted job.
        eta_seconds = self._estimator.eta_seconds()
        try:
            job = self._accept(submission)
        except (WorkflowNotFoundError, RequestInvalidError):
            # What was valid with the first request need not be valid now: the workflow can have changed since.
            accepted = self._accepted_before(submission)
            if accepted is None:
                raise
            self._send_again(accepted, submission)
            job = accepted
        api_logger.info("job accepted", action="job_accepted", job_id=job.id, workflow_id=job.workflow_id)
        if job.cache_hit:
            # If this fails, a retry finds the record and publishes the event then.
            self._bus.publish(JobEndedEvent.of(job))
        return SubmittedJob(job, eta_seconds)

    def _accepted_before(self, submission: Submission) -> Job | None:
        key = submission.idempotency_key
        job = self._jobs.get(idempotent_job_id(submission.owner, key)) if key else None
        return job if job is not None and job.request_hash == submission.request_hash else None

    def _accept(self, submission: Submission) -> Job:
        plan = self._plan(submission)
        job = self._new_job(submission, plan)
        stored = self._jobs.create(job)
        if stored is not job:
            # Without a key it is this very request's record: boto3 repeated a put whose response was lost.
            if stored.request_hash != job.request_hash:
                raise IdempotencyMismatchError(
                    "This idempotency key was used before, with another request. Use a new key for a new request."
                )
            self._send_again(stored, submission)
        elif not job.cache_hit:
            self._enqueue(job, plan.prompt)
        return stored

    def _plan(self, submission: Submission) -> JobPlan:
        """Plan the job. Raises RequestInvalidError with the problems of the inputs and of the callback URL."""
        problems = self._callbacks.problems(submission.callback_url)
        try:
            plan = self._planner.plan(submission)
        except RequestInvalidError as error:
            raise RequestInvalidError([*error.problems, *problems]) from None
        if problems:
            raise RequestInvalidError(problems)
        return plan

    def _new_job(self, submission: Submission, plan: JobPlan) -> Job:
        key = submission.idempotency_key
        job = Job(
            id=idempotent_job_id(submission.owner, key) if key else new_job_id(),
            owner=submission.owner,
            workflow_id=plan.head.id,
            workflow_version=plan.head.version,
            template_key=plan.head.template_key,
            priority=submission.priority,
            private=plan.private,
            inputs=None if plan.private else plan.values.inputs,
            params={} if plan.private else plan.values.params,
            seed=plan.values.seed,
            metadata=submission.metadata,
            request_hash=submission.request_hash if key else None,
            correlation_id=submission.correlation_id,
            cache_key=plan.cache_key,
            callback_url=submission.callback_url,
            created_at=self._clock.now(),
        )
        if plan.cached_result is None:
            return job
        return replace(
            job,
            status=JobStatus.SUCCEEDED,
            completed_at=job.created_at,
            progress=100,
            outputs=plan.cached_result.outputs,
            cache_hit=True,
        )

    def _send_again(self, job: Job, submission: Submission) -> None:
        """Send the message of a job that is still queued: it may never have been sent, and a second one is harmless.

        The submission has the same hash as the one that the job was made from, so the same prompt is rendered.
        """
        if job.status is JobStatus.QUEUED:
            self._enqueue(job, self._planner.prompt_again(submission, job))

    def _enqueue(self, job: Job, prompt: EncodedPrompt) -> None:
        key = None
        if len(prompt.body) > MAX_MESSAGE_PROMPT_BYTES and not job.private:
            key = f"{PROMPT_PREFIX}{job.id}.json"
            self._prompts.put(key, prompt.body, content_type="application/json")
        message = JobMessage(
            job_id=job.id,
            priority=job.priority,
            correlation_id=job.correlation_id,
            private=job.private,
            prompt=None if key else prompt.graph,
            prompt_key=key,
        )
        self._queue.send(message, group=job.owner)
