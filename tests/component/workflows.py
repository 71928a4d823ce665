"""Creates workflows and runs jobs for the API's tests."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.file_names import content_type, disposition
from gateway.domain.job import JobEnd, JobStatus, Output, Priority
from gateway.domain.job_filter import JobFilter
from gateway.domain.workflow import WorkflowTemplate
from tests.component.samples import BY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.job import Job
    from gateway.ports import ReceivedJob
    from tests.component.api import Caller, Gateway, Response

GRAPH: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {"seed": "{{seed}}", "steps": "{{steps}}", "model": ["4", 0]}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{{checkpoint}}"}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{prompt}}", "clip": ["4", 1]}},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "fields": {
        "prompt": {"type": "string", "required": True},
        "steps": {"type": "integer", "default": 30, "min": 1, "max": 100},
        "seed": {"type": "integer", "default": -1},
        "width": {"type": "integer", "default": 512},
    },
}
PARAMS: dict[str, Any] = {"checkpoint": "base.safetensors"}


def add_workflow(gateway: Gateway, workflow_id: str = "w") -> None:
    """Create a workflow in the store, without a request."""
    template = WorkflowTemplate.register(GRAPH, SCHEMA, PARAMS)
    gateway.wiring.workflows.create(workflow_id, "W", "", template, BY)


def post(caller: Caller, **fields: Any) -> Response:  # noqa: ANN401  the fields of a body
    """Submit a job for the workflow `w`; `fields` override the body's defaults."""
    return caller.post("/jobs", {"workflowId": "w", "inputs": {"prompt": "a fox"}, **fields})


def received(gateway: Gateway, priority: Priority = Priority.NORMAL) -> ReceivedJob:
    """Receive a message, which must exist."""
    message = gateway.wiring.queue.receive(priority, wait_seconds=2)
    assert message is not None
    return message


def stored_jobs(gateway: Gateway) -> list[Job]:
    """Return the stored jobs of all owners."""
    return list(gateway.wiring.job_list.page(JobFilter(), limit=100, position=None).jobs)


def run(gateway: Gateway, job_id: str, files: Mapping[str, bytes]) -> Job:
    """Run a job as an executor does: claim it, store its outputs, finish it."""
    now = SYSTEM_CLOCK.now()
    job = gateway.wiring.jobs.claim(job_id, executor_id="e", now=now, lease_until=now + timedelta(seconds=30))
    outputs = []
    for name, content in files.items():
        output = Output(
            filename=name,
            key=f"outputs/{job_id}/1/{name}",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            content_type=content_type(name),
        )
        gateway.wiring.outputs.put_stream(
            output.key,
            io.BytesIO(content),
            content_type=output.content_type,
            disposition=disposition(name, output.content_type),
        )
        outputs.append(output)
    end = JobEnd(status=JobStatus.SUCCEEDED, completed_at=now, execution_ms=5, outputs=tuple(outputs))
    return gateway.wiring.jobs.finish(job, end)
