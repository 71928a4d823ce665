"""Jobs that take many leases: an hour at 30 s is 120 of them, here it is five seconds at two."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from tests.executor.stage import sleeping, wait_until
from tests.faults.executor_process import full_disk
from tests.faults.gate import Passage, Response

if TYPE_CHECKING:
    from tests.faults.scene import Scene

JOB_SECONDS = 5.0


def test_lease_and_message_are_kept_throughout(scene: Scene) -> None:
    """While the job runs the lease never ends and the message is never there for others to take."""
    with scene.executor(), scene.survivor():
        job_id = scene.stage.accept(sleeping(JOB_SECONDS))
        wait_until(lambda: scene.stage.job(job_id).status is JobStatus.RUNNING, "a claim")
        while (job := scene.stage.job(job_id)).status is JobStatus.RUNNING:
            assert job.lease_expires_at is not None
            assert job.lease_expires_at > timestamps.now()
            assert scene.stage.messages_visible() == 0
            time.sleep(0.05)
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def twelve_hours_over(passage: Passage) -> None:
    """Refuse to hide a message any longer, as SQS does twelve hours after it was received."""
    message = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
    body = {"__type": "com.amazonaws.sqs#InvalidParameterValueException", "message": message}
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "x-amzn-query-error": "InvalidParameterValue;Sender",
    }
    passage.answer(Response(400, json.dumps(body).encode(), headers))


def test_a_message_that_can_be_hidden_no_longer(scene: Scene) -> None:
    """It comes again while the job runs, and whoever receives it leaves the job to the one that holds its lease."""
    scene.aws_gate.fail("ChangeMessageVisibility", twelve_hours_over, times=1000)
    with scene.executor(), scene.survivor():
        (job,) = scene.well_ended(scene.stage.accept(sleeping(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.prompts_run() == 1


def test_a_full_disk(scene: Scene) -> None:
    """An executor needs none: it cannot even write its log, and jobs go on."""
    with scene.executor(wrapper=full_disk()):
        (job,) = scene.well_ended(scene.stage.accept(sleeping(0.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
