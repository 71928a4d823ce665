"""AWS does not answer, or not for a while."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from gateway.domain.messages import JobMessage
from tests.executor.stage import picture, sleeping, wait_until
from tests.faults.aws_faults import (
    PATIENT_LEASE_SECONDS,
    STEPS,
    answer_late,
    cut,
    event_refused,
    internal_error,
    reset,
    timed_out,
)

if TYPE_CHECKING:
    from tests.faults.scene import Scene

STEPS_ONCE_A_JOB = tuple(step for step in STEPS if step not in ("renew", "ChangeMessageVisibility"))
DYNAMODB_STEPS = ("PutItem", "claim", "renew", "finish")
# More often than boto3 tries.
OFTEN = 4


def test_each_call_fails_for_a_while(scene: Scene) -> None:
    """When boto3 has given up, the job is tried again, and what ComfyUI has done is not done again."""
    scene.lease_seconds = PATIENT_LEASE_SECONDS
    for step in STEPS_ONCE_A_JOB:
        scene.aws_gate.fail(step, internal_error, times=OFTEN)
    jobs = [scene.stage.accept(sleeping(0.5)) for _ in range(3)]
    with scene.executor():
        ended = scene.well_ended(*jobs)
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert scene.prompts_run() == len(jobs)
    assert not scene.aws_gate.left_to_fail()


def test_calls_that_are_never_answered(scene: Scene) -> None:
    """They are given up after seconds, and hold up neither the lease nor the other jobs."""
    scene.lease_seconds = 24  # a job may meet two of them, of five seconds each
    for step in ("renew", "PutEvents", "DeleteMessage"):
        scene.aws_gate.fail(step, timed_out)
    for step in ("claim", "finish", "ChangeMessageVisibility"):
        scene.aws_gate.fail(step, answer_late)
    jobs = [scene.stage.accept(prompt) for prompt in (sleeping(9.0), picture(), picture())]
    with scene.executor(MAX_CONCURRENCY="3"):
        ended = scene.well_ended(*jobs)
        assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    assert not scene.aws_gate.left_to_fail()


def accept_large(scene: Scene) -> str:
    """Accept a job whose prompt comes from S3."""
    job_id = scene.stage.create()
    key = f"prompts/{uuid.uuid4()}.json"
    scene.stage.objects.put(key, json.dumps(picture()).encode(), content_type="application/json")
    message = JobMessage(
        job_id=job_id, priority=scene.stage.job(job_id).priority, correlation_id="correlated", prompt_key=key
    )
    scene.stage.queue.send(message, group="somebody")
    return job_id


def test_a_prompt_that_breaks_off_while_it_is_read(scene: Scene) -> None:
    """Half a prompt is read again, at once."""
    scene.aws_gate.fail("GetObject", cut, times=2)
    with scene.executor():
        (job,) = scene.well_ended(accept_large(scene))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_prompt_that_cannot_be_read_for_a_while(scene: Scene) -> None:
    """The attempt breaks off and the job is given back: the next one does not wait until the lease has run out."""
    scene.lease_seconds = 60
    scene.aws_gate.fail("GetObject", internal_error, times=OFTEN)
    with scene.executor():
        (job,) = scene.well_ended(accept_large(scene))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_an_event_that_is_not_taken(scene: Scene) -> None:
    """PutEvents answers 200 and takes nothing: the event is published again, the job does not run again."""
    scene.aws_gate.fail("PutEvents", event_refused)
    with scene.executor():
        (job,) = scene.well_ended(scene.stage.accept(picture()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.aws_gate.passed["PutEvents"] == 2


def test_nothing_is_received_while_the_table_is_away(scene: Scene) -> None:
    """Jobs wait where they are and use up nothing; they run when the table is back."""
    for step in DYNAMODB_STEPS:
        scene.aws_gate.fail(step, internal_error, times=1000)
    jobs = [scene.stage.accept(picture()) for _ in range(3)]
    with scene.executor():
        wait_until(lambda: scene.aws_gate.passed["PutItem"] > OFTEN, "reports that fail")
        scene.nothing_is_received()
        scene.aws_gate.mend()
        ended = scene.well_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_all_of_aws_away_for_longer_than_a_lease(scene: Scene) -> None:
    """The executor takes its prompt off ComfyUI before another could run it; the job goes on when AWS is back."""
    with scene.executor():
        job_id = scene.stage.accept(sleeping(3.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        for step in STEPS:
            scene.aws_gate.fail(step, reset, times=1000)
        wait_until(lambda: scene.queued_in_comfyui() == 0, "a prompt taken off")
        assert scene.prompts_run() == 1  # interrupted
        scene.aws_gate.mend()
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
