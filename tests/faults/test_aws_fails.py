"""DynamoDB, SQS, S3 and EventBridge throttle, fail, break connections and lose answers, at every step of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.domain.job import JobStatus
from tests.executor.stage import picture, wait_until
from tests.faults.aws_faults import PATIENT_LEASE_SECONDS, STEPS, answer_lost, internal_error, reset, throttled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.gate import Passage
    from tests.faults.scene import Scene

RENEWALS = {"renew", "ChangeMessageVisibility"}


@pytest.mark.parametrize("fault", [throttled, internal_error, reset, answer_lost])
def test_each_call_fails_once(scene: Scene, fault: Callable[[Passage], None]) -> None:
    """Nobody notices: one attempt, one run. A write whose answer was lost is known again for one's own."""
    scene.lease_seconds = PATIENT_LEASE_SECONDS
    for step in STEPS:
        scene.aws_gate.fail(step, fault)
    scene.simulator.faults.worker_stuck = True  # the prompt runs until lease and message were renewed
    with scene.executor():
        job_id = scene.stage.accept(picture())
        wait_until(lambda: not RENEWALS & scene.aws_gate.left_to_fail().keys(), "renewals")
        scene.simulator.faults.worker_stuck = False
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.prompts_run() == 1
    assert not scene.aws_gate.left_to_fail()
