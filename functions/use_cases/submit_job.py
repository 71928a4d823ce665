"""Accepting a job: from a checked request to a record and a message.

    prepare ─┬─ no result yet ─▶ put the record, if its id is free ─▶ send the message ─▶ 202
             └─ a result ──────▶ put the record, ended already ─────────────────────────▶ 200

Bad input ends before anything is written. A crash between record and message leaves a queued job
without a message; nobody was told 202, and the same idempotency key sends the message again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.aws.resources import PROMPT_PREFIX
from gateway.domain import timestamps
from gateway.domain.job import Job, JobStatus, Priority, idempotent_job_id, new_job_id
from gateway.domain.messages import MAX_MESSAGE_PROMPT_BYTES, JobMessage
from gateway.errors import IdempotencyMismatchError, RequestInvalidError, WorkflowNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.use_cases.plan_job import EncodedPrompt, Preparation, Prepared
    from functions.webhooks.callback_check import CallbackCheck
    from gateway.domain.result_cache import CachedResult
    from gateway.ports import JobQueue, JobStore, ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asked for."""

    owner: str
    workflow_id: str
    inputs: Mapping[str, Any]
    params: Mapping[str, Any]
    priority: Priority
    metadata: Mapping[str, Any]
    idempotency_key: str | None
    correlation_id: str
    callback_url: str | None

    @property
    def request_hash(self) -> str:
        """Tell whether two requests ask for the same, whatever order their keys came in."""
        asked = [self.workflow_id, self.inputs, self.params, self.priority, self.metadata, self.callback_url]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Submitter:
    """Accepts jobs."""

    def __init__(
        self,
        callbacks: CallbackCheck,
        preparation: Preparation,
        jobs: JobStore,
        queue: JobQueue,
        objects: ObjectStore,
    ) -> None:
        self._callbacks = callbacks
        self._preparation = preparation
        self._jobs = jobs
        self._queue = queue
        self._objects = objects

    def submit(self, submission: Submission) -> Job:
        """Accept a job, or find the one that its idempotency key stands for.

        Raises WorkflowNotFoundError, RequestInvalidError or IdempotencyMismatchError.
        """
        try:
            return self._accept(submission)
        except (WorkflowNotFoundError, RequestInvalidError):
            # What was right when the first request came need not be any more: the workflow can have changed since.
            first = self._first(submission)
            if first is None:
                raise
            self._send_again(first, submission)
            return first

    def _first(self, submission: Submission) -> Job | None:
        key = submission.idempotency_key
        job = self._jobs.get(idempotent_job_id(submission.owner, key)) if key else None
        return job if job is not None and job.request_hash == submission.request_hash else None

    def _accept(self, submission: Submission) -> Job:
        prepared, result = self._prepared(submission)
        job = _new_job(submission, prepared)
        if result is not None:
            job = replace(
                job,
                status=JobStatus.SUCCEEDED,
                completed_at=job.created_at,
                progress=100,
                outputs=result.outputs,
                cache_hit=True,
            )
        stored = self._jobs.create(job)
        if stored is not job:
            # Without a key it is this very request's record: boto3 repeated a put whose answer was lost.
            if stored.request_hash != job.request_hash:
                raise IdempotencyMismatchError(
                    "This idempotency key was used before, with another request. Use a new key for a new request."
                )
            self._send_again(stored, submission)
        elif not job.cache_hit:
            self._enqueue(job, prepared.prompt)
        return stored

    def _prepared(self, submission: Submission) -> tuple[Prepared, CachedResult | None]:
        """Prepare the job. Raises RequestInvalidError with what is wrong with the inputs and with the callback URL."""
        problems = self._callbacks.problems(submission.callback_url)
        try:
            prepared = self._preparation.prepare(submission)
        except RequestInvalidError as error:
            raise RequestInvalidError([*error.problems, *problems]) from None
        if problems:
            raise RequestInvalidError(problems)
        return prepared

    def _send_again(self, job: Job, submission: Submission) -> None:
        """Send the message of a job that still waits: it may never have been sent, and a second one is harmless.

        The submission is the one that the job was made of, by its hash: its prompt is made of it once more.
        """
        if job.status is JobStatus.QUEUED:
            self._enqueue(job, self._preparation.prompt_again(submission, job))

    def _enqueue(self, job: Job, prompt: EncodedPrompt) -> None:
        key = None
        if len(prompt.body) > MAX_MESSAGE_PROMPT_BYTES and not job.private:
            key = f"{PROMPT_PREFIX}{job.id}.json"
            self._objects.put(key, prompt.body, content_type="application/json")
        message = JobMessage(
            job_id=job.id,
            priority=job.priority,
            correlation_id=job.correlation_id,
            private=job.private,
            prompt=None if key else prompt.graph,
            prompt_key=key,
        )
        self._queue.send(message, group=job.owner)


def _new_job(submission: Submission, prepared: Prepared) -> Job:
    key = submission.idempotency_key
    return Job(
        id=idempotent_job_id(submission.owner, key) if key else new_job_id(),
        owner=submission.owner,
        workflow_id=prepared.head.id,
        workflow_version=prepared.head.version,
        template_key=prepared.head.template_key,
        priority=submission.priority,
        private=prepared.private,
        inputs=None if prepared.private else prepared.values.inputs,
        params={} if prepared.private else prepared.values.params,
        seed=prepared.values.seed,
        metadata=submission.metadata,
        request_hash=submission.request_hash if key else None,
        correlation_id=submission.correlation_id,
        cache_key=prepared.cache_key,
        callback_url=submission.callback_url,
        created_at=timestamps.now(),
    )
