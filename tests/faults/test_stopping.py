"""SIGTERM: what fits into the grace time ends well, the rest is given back at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from tests.executor.stage import picture, sleeping, wait_until
from tests.faults.aws_faults import STEPS, reset

if TYPE_CHECKING:
    from tests.faults.scene import Scene

# Longer than any of these tests may take: a job that is not given back would not be taken over.
LEASE_SECONDS = 60


def test_jobs_are_given_back(scene: Scene) -> None:
    """Both the one that runs and the one that waits in ComfyUI: another executor ends them without waiting."""
    scene.lease_seconds = LEASE_SECONDS
    with scene.executor(SHUTDOWN_GRACE_SECONDS="0") as process:
        jobs = [scene.stage.accept(sleeping(1.5)) for _ in range(2)]
        wait_until(lambda: scene.queued_in_comfyui() == 2, "one prompt running and one waiting")
        process.terminate()
        process.wait()
        assert scene.queued_in_comfyui() == 0
    with scene.survivor():
        ended = scene.well_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_executors_that_are_told_to_stop_cost_no_attempt(scene: Scene) -> None:
    """Hosts that are taken away again and again: the job ends well however often, though it may break off but once."""
    job_id = scene.stage.accept(sleeping(1.5))
    for _ in range(2):
        with scene.executor(SHUTDOWN_GRACE_SECONDS="0", MAX_ATTEMPTS="1") as process:
            wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
            process.terminate()
            process.wait()
    with scene.executor(MAX_ATTEMPTS="1"):
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)


def test_short_jobs_are_finished(scene: Scene) -> None:
    """No message is received any more, and the process ends with the jobs it has."""
    with scene.executor() as process:
        jobs = [scene.stage.accept(sleeping(0.7)) for _ in range(2)]
        wait_until(lambda: scene.queued_in_comfyui() == 2, "one prompt running and one waiting")
        process.terminate()
        later = scene.stage.accept(picture())
        process.wait()
    assert scene.stage.job(later).status is JobStatus.QUEUED
    with scene.survivor():
        ended = scene.well_ended(*jobs, later)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}


def test_an_end_without_aws(scene: Scene) -> None:
    """The process ends in time though nothing can be given back; the lease runs out, and the job goes on."""
    with scene.executor(SHUTDOWN_GRACE_SECONDS="0") as process:
        job_id = scene.stage.accept(sleeping(3.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        for step in STEPS:
            scene.aws_gate.fail(step, reset, times=1000)
        asked_at = time.monotonic()
        process.terminate()
        process.wait()
        assert time.monotonic() - asked_at < 15
    with scene.survivor():
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
