"""Accepting a job: from a checked request to a record and a message.

    template ─▶ values ─▶ prompt ─▶ put the record, if its id is free ─▶ send the message ─▶ 202

Bad input ends before anything is written. A crash between record and message leaves a queued job
without a message; nobody was told 202, and the same idempotency key sends the message again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.aws.resources import PROMPT_PREFIX
from gateway.domain import instant
from gateway.domain.inputs import Values
from gateway.domain.job import Job, JobStatus, Priority, idempotent_job_id, new_job_id
from gateway.domain.messages import MAX_MESSAGE_PROMPT_BYTES, JobMessage
from gateway.errors import IdempotencyMismatchError, Problem, RequestInvalidError, WorkflowNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.inputs import Limits
    from gateway.ports import JobQueue, JobStore, ObjectStore, WorkflowStore


# A template may name an input many times over: what it makes is bounded as well, far above any graph made by hand.
MAX_PROMPT_BYTES = 4 * 1024 * 1024


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

    @property
    def request_hash(self) -> str:
        """Tell whether two requests ask for the same, whatever order their keys came in."""
        asked = [self.workflow_id, self.inputs, self.params, self.priority, self.metadata]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _EncodedPrompt:
    """A prompt, and the bytes it will travel as."""

    graph: dict[str, Any]
    body: bytes


class Submitter:
    """Accepts jobs."""

    def __init__(
        self, jobs: JobStore, workflows: WorkflowStore, queue: JobQueue, objects: ObjectStore, limits: Limits
    ) -> None:
        self._jobs = jobs
        self._workflows = workflows
        self._queue = queue
        self._objects = objects
        self._limits = limits

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
            return first

    def _first(self, submission: Submission) -> Job | None:
        key = submission.idempotency_key
        job = self._jobs.get(idempotent_job_id(submission.owner, key)) if key else None
        return job if job is not None and job.request_hash == submission.request_hash else None

    def _accept(self, submission: Submission) -> Job:
        head = self._workflows.head(submission.workflow_id)
        if head is None:
            raise WorkflowNotFoundError(submission.workflow_id)
        template = self._workflows.template(head.template_key)
        values = template.values(submission.inputs, submission.params, self._limits)
        prompt = _encoded(template.render(values))
        key = submission.idempotency_key
        job = Job(
            id=idempotent_job_id(submission.owner, key) if key else new_job_id(),
            owner=submission.owner,
            workflow_id=head.id,
            workflow_version=head.version,
            template_key=head.template_key,
            priority=submission.priority,
            inputs=values.inputs,
            params=values.params,
            seed=values.seed,
            metadata=submission.metadata,
            request_hash=submission.request_hash if key else None,
            correlation_id=submission.correlation_id,
            created_at=instant.now(),
        )
        stored = self._jobs.create(job)
        if stored is job:
            self._enqueue(job, prompt)
        else:
            self._accept_again(stored, job.request_hash)
        return stored

    def _accept_again(self, stored: Job, request_hash: str | None) -> None:
        # Without a key it is this very request's record: boto3 repeated a put whose answer was lost.
        if stored.request_hash != request_hash:
            raise IdempotencyMismatchError(
                "This idempotency key was used before, with another request. Use a new key for a new request."
            )
        if stored.status is JobStatus.QUEUED:
            # Its message may never have been sent. A second one is harmless: only one claim succeeds. The prompt
            # is the first request's, seed and template version included.
            template = self._workflows.template(stored.template_key)
            values = Values(inputs=dict(stored.inputs), params=dict(stored.params), seed=stored.seed)
            self._enqueue(stored, _encoded(template.render(values)))

    def _enqueue(self, job: Job, prompt: _EncodedPrompt) -> None:
        key = None
        if len(prompt.body) > MAX_MESSAGE_PROMPT_BYTES:
            key = f"{PROMPT_PREFIX}{job.id}.json"
            self._objects.put(key, prompt.body, content_type="application/json")
        message = JobMessage(
            job_id=job.id,
            priority=job.priority,
            correlation_id=job.correlation_id,
            prompt=None if key else prompt.graph,
            prompt_key=key,
        )
        self._queue.send(message, group=job.owner)


def _encoded(graph: dict[str, Any]) -> _EncodedPrompt:
    body = json.dumps(graph, separators=(",", ":"), ensure_ascii=False).encode()
    if len(body) > MAX_PROMPT_BYTES:
        raise RequestInvalidError(
            [Problem("inputs", f"The prompt they make has {len(body)} bytes; at most {MAX_PROMPT_BYTES} are allowed.")]
        )
    return _EncodedPrompt(graph, body)
