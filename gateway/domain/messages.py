"""The messages on SQS and EventBridge. They are versioned: consumers may be of another release."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, computed_field, field_serializer, model_validator
from pydantic.alias_generators import to_camel

from gateway.domain import timestamps
from gateway.domain.job import Job, JobStatus, Priority, ended_event_id, is_job_id

# An SQS message can have 1 MiB, but is billed per 64 KiB: a larger prompt goes to the bucket instead.
MAX_MESSAGE_PROMPT_BYTES = 128 * 1024


def message_group(owner: str) -> str:
    """Return the message group of an owner. SQS allows 128 characters of a small alphabet, owners have any name."""
    return hashlib.sha256(owner.encode()).hexdigest()


class _Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class JobMessage(_Wire):
    """A job to run: its id, and the prompt as rendered at acceptance."""

    version: Literal[1] = 1
    job_id: str
    priority: Priority
    correlation_id: str
    private: bool = False  # consumers must not log the prompt, even when they fail on it
    prompt: dict[str, Any] | None = None
    prompt_key: str | None = None

    @model_validator(mode="after")
    def _has_one_prompt(self) -> Self:
        if (self.prompt is None) == (self.prompt_key is None):
            raise ValueError("exactly one of prompt and promptKey is needed")
        return self


class _Named(_Wire):
    job_id: str


def job_id_in(body: str) -> str | None:
    """Return the job id of a job message of any release; None when there is none."""
    try:
        job_id = _Named.model_validate_json(body).job_id
    except ValidationError:
        return None
    return job_id if is_job_id(job_id) else None


class JobEndedEvent(_Wire):
    """The detail of a "job ended" event. `event_id` is the same each time it is published."""

    version: Literal[1] = 1
    event_id: str
    job_id: str
    owner: str
    workflow_id: str
    status: JobStatus
    correlation_id: str
    completed_at: datetime
    callback: bool = False  # whether there is a webhook to deliver; the webhook rule matches no other events

    @computed_field  # type: ignore[prop-decorator]  # https://github.com/python/mypy/issues/14461
    @property
    def owner_hash(self) -> str:
        """The owner's message group, for rules that send the event to a queue."""
        return message_group(self.owner)

    @field_serializer("completed_at")
    def _to_text(self, value: datetime) -> str:
        return timestamps.to_text(value)

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the event of an ended job. Raises ValueError for one that has not ended."""
        if job.completed_at is None:
            raise ValueError(f"job {job.id} has not ended")
        return cls(
            event_id=ended_event_id(job.id),
            job_id=job.id,
            owner=job.owner,
            workflow_id=job.workflow_id,
            status=job.status,
            correlation_id=job.correlation_id,
            completed_at=job.completed_at,
            callback=job.callback_url is not None,
        )
