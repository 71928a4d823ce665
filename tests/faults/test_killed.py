"""An executor is killed at each step of a job, and a second one takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import JobStatus
from testing.prompts import image_prompt

if TYPE_CHECKING:
    from tests.faults.fault_environment import FaultEnvironment

COMFYUI_STEPS = ("POST /prompt", "GET /view")
# In the order in which an executor runs a job.
STEPS = ("claim", "POST /prompt", "GET /view", "PutObject", "finish", "PutEvents", "DeleteMessage")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("forwarded", [False, True], ids=["before", "after"])
def test_a_killed_executor_loses_nothing(env: FaultEnvironment, step: str, *, forwarded: bool) -> None:
    """Whether the server had executed the call or not, another executor ends the job, and the prompt runs once."""
    proxy = env.comfyui_proxy if step in COMFYUI_STEPS else env.aws_proxy
    hold = proxy.hold(step, forwarded=forwarded)
    job_id = env.harness.submit(image_prompt())
    with env.executor_process() as process:
        hold.wait()
        process.kill()
        hold.reset()
    with env.healthy_executor():
        (job,) = env.check_ended(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    # The first attempt counts once it has claimed the job, and is the last one if it wrote the terminal status.
    executed_steps = STEPS.index(step) + forwarded
    claimed, finished = executed_steps > STEPS.index("claim"), executed_steps > STEPS.index("finish")
    assert job.attempt == (2 if claimed and not finished else 1)
    assert env.executed_prompt_count() == 1
