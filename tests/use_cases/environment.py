"""A gateway on in-memory ports, with callers, a workflow, and a sample submission."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.use_cases.eta import EtaEstimator
from functions.use_cases.plan_job import JobPlanner
from functions.use_cases.register_workflow import NewWorkflow, register_workflow
from functions.use_cases.submit_job import JobSubmitter
from functions.webhooks.callback_check import CallbackCheck
from gateway.domain.audit import Authorship
from gateway.domain.callback_url import CallbackPolicy
from gateway.domain.inputs import Limits
from gateway.domain.job import Job, JobEnd, JobStatus, Output, Priority, new_job_id
from gateway.domain.principal import Principal, Role
from gateway.domain.submission import Submission
from testing.clock import FakeClock
from testing.ports import InMemoryPorts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from functions.use_cases.submit_job import SubmittedJob
    from gateway.domain.messages import JobMessage

ADMIN = Principal(owner="root", role=Role.ADMIN)
ADA, BOB = Principal(owner="ada", role=Role.USER), Principal(owner="bob", role=Role.USER)
BY = Authorship(actor=ADMIN, correlation_id="c-1")
CALLBACK_URL = "https://app.example.com/hook"
OUTPUT = Output(filename="a.png", key="outputs/x/a.png", size=3, sha256="ab", content_type="image/png")
GRAPH: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {"seed": "{{seed}}", "steps": "{{steps}}"}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{prompt}}"}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "fields": {
        "prompt": {"type": "string", "required": True},
        "steps": {"type": "integer", "default": 30, "min": 1, "max": 100},
        "seed": {"type": "integer", "default": 7},
    },
}
SUBMISSION = Submission(
    owner=ADA.owner,
    workflow_id="w",
    inputs={"prompt": "a fox"},
    params={},
    priority=Priority.NORMAL,
    metadata={},
    idempotency_key=None,
    correlation_id="c-1",
    callback_url=None,
)


class PublicResolver:
    """Resolves every name to a public address."""

    def addresses(self, name: str, *, seconds: float) -> Sequence[str]:
        """Return the same address for each name."""
        del name, seconds
        return ["8.8.8.8"]


class Environment:
    """All ports of one gateway, and the workflow `w`."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ports = InMemoryPorts(self.clock)
        new = NewWorkflow(
            id="w", name="W", description="", workflow_json=GRAPH, input_schema=SCHEMA, default_params=None
        )
        self.head, _ = register_workflow(self.ports.workflows, new, BY)

    def submitter(self, *, private: bool = False, shared: bool = False, webhooks: bool = True) -> JobSubmitter:
        """Create the submitter of one process."""
        ports = self.ports
        policy = CallbackPolicy(allowed_domains=["*"])
        return JobSubmitter(
            planner=JobPlanner(
                ports.workflows,
                ports.objects,
                ports.results,
                self.clock,
                Limits(max_image_size=2048, max_batch_size=4),
                shared=shared,
                private=private,
            ),
            callbacks=CallbackCheck(enabled=webhooks, policy=lambda: policy, resolver=PublicResolver),
            estimator=EtaEstimator(ports.executors, self.clock),
            jobs=ports.jobs,
            queue=ports.queue,
            prompts=ports.objects,
            bus=ports.events,
            clock=self.clock,
        )

    def submit(self, submitter: JobSubmitter | None = None, **fields: Any) -> SubmittedJob:  # noqa: ANN401  the fields of a submission
        """Submit a job for `w`."""
        return (submitter or self.submitter()).submit(replace(SUBMISSION, **fields))

    def messages(self, priority: Priority = Priority.NORMAL) -> list[JobMessage]:
        """Receive all visible messages of a priority."""
        messages = []
        while received := self.ports.queue.receive(priority, wait_seconds=0):
            messages.append(received.message)
        return messages

    def job(self, **fields: Any) -> Job:  # noqa: ANN401  the fields of a job
        """Store a queued job of ada's."""
        job = Job(
            id=new_job_id(),
            owner=ADA.owner,
            workflow_id="w",
            workflow_version=1,
            template_key=self.head.template_key,
            inputs={},
            correlation_id="c-1",
            created_at=self.clock.now(),
        )
        return self.ports.jobs.create(replace(job, **fields))

    def claim(self, job: Job) -> Job:
        """Claim a job for an executor."""
        now = self.clock.now()
        return self.ports.jobs.claim(job.id, executor_id="e", now=now, lease_until=now + timedelta(seconds=30))

    def finish(self, job: Job, **fields: Any) -> Job:  # noqa: ANN401  the fields of a JobEnd
        """Claim and finish a job; without fields it succeeds."""
        end: dict[str, Any] = {"status": JobStatus.SUCCEEDED, "outputs": (OUTPUT,), "execution_ms": 1234, **fields}
        return self.ports.jobs.finish(self.claim(job), JobEnd(completed_at=self.clock.now(), **end))
