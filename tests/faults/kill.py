"""What the tests of killed executors share: one job, one executor that dies at a given call, and one after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from tests.executor.stage import picture

if TYPE_CHECKING:
    from tests.faults.scene import Scene

COMFYUI_STEPS = ("POST /prompt", "GET /view")
# In the order in which a job takes them.
STEPS = ("claim", "POST /prompt", "GET /view", "PutObject", "finish", "PutEvents", "DeleteMessage")


def kill_at(scene: Scene, step: str, *, carried_out: bool) -> None:
    """Kill an executor in a call that the other side has, or has not, carried out; then let another go on."""
    gate = scene.comfyui_gate if step in COMFYUI_STEPS else scene.aws_gate
    hold = gate.hold(step, carried_out=carried_out)
    job_id = scene.stage.accept(picture())
    with scene.executor() as process:
        hold.wait()
        process.kill()
        hold.drop()
    with scene.survivor():
        (job,) = scene.well_ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    # The first attempt counts from its claim on, and is the last when it got to write the end.
    done = STEPS.index(step) + carried_out
    claimed, finished = done > STEPS.index("claim"), done > STEPS.index("finish")
    assert job.attempt == (2 if claimed and not finished else 1)
    assert scene.prompts_run() == 1, "what ComfyUI had done was done again"
