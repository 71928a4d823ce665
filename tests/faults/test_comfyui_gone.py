"""ComfyUI dies, stays away, or hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.domain.job import JobStatus
from tests.executor.stage import picture, sleeping, wait_until

if TYPE_CHECKING:
    from tests.faults.scene import Scene

STALL_MS = "3000"


def test_comfyui_killed_and_restarted(scene: Scene) -> None:
    """The prompt that ran and the one that waited are gone with it, and run again."""
    with scene.survivor():
        jobs = [scene.stage.accept(sleeping(1.0)) for _ in range(2)]
        wait_until(lambda: scene.queued_in_comfyui() == 2, "one prompt running and one waiting")
        scene.simulator.restart()
        ended = scene.well_ended(*jobs)
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 2)}


def test_comfyui_away_for_long(scene: Scene) -> None:
    """The attempt that ran is over; nothing is received meanwhile, so that no other attempt or receive is used up."""
    with scene.executor():
        broken = scene.stage.accept(sleeping(1.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        scene.simulator.kill()
        waiting = [scene.stage.accept(picture()) for _ in range(3)]
        wait_until(lambda: scene.given_back(broken), "the end of the attempt")
        scene.nothing_is_received()
        scene.simulator.start()
        ended = scene.well_ended(broken, *waiting)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 1, 1, 1)]


def test_a_dead_worker_thread(scene: Scene) -> None:
    """ComfyUI answers, but works no more: what is there is given back, and nothing is taken until it is restarted."""
    with scene.executor(scene.simulator.url, COMFYUI_STALL_MS=STALL_MS):
        hanging = scene.stage.accept(sleeping(1.0))
        waiting = scene.stage.accept(picture())
        wait_until(lambda: scene.queued_in_comfyui() == 2, "one prompt running and one waiting")
        scene.simulator.faults.worker_dead = True
        wait_until(lambda: scene.given_back(hanging) and scene.given_back(waiting), "both given back")
        later = scene.stage.accept(picture())
        scene.nothing_is_received()
        assert scene.stage.job(later).status is JobStatus.QUEUED
        scene.simulator.faults.worker_dead = False
        scene.simulator.restart()
        ended = scene.well_ended(hanging, waiting, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.SUCCEEDED, n) for n in (2, 2, 1)]


def test_a_worker_thread_that_died_under_another_executor(scene: Scene) -> None:
    """Nothing is heard of a prompt that another one submitted: when its time is over, the job may run elsewhere."""
    with scene.executor(scene.simulator.url) as process:
        job_id = scene.stage.accept(sleeping(1.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        scene.simulator.faults.worker_dead = True
        process.kill()
    with scene.executor(scene.simulator.url, COMFYUI_TIMEOUT_MS="2000"):
        wait_until(lambda: scene.given_back(job_id), "the job given back")
        scene.simulator.faults.worker_dead = False
        scene.simulator.restart()
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)


def test_a_prompt_that_cannot_be_stopped(scene: Scene) -> None:
    """A canceled job ends though its node heeds no interrupt; the next one waits until ComfyUI is free of it."""
    with scene.survivor():
        canceled = scene.stage.accept(sleeping(8.0, interruptible=False))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        scene.stage.request_cancel(canceled)
        scene.stage.ended(canceled)
        assert scene.queued_in_comfyui() == 1
        later = scene.stage.accept(picture())
        ended = scene.well_ended(canceled, later)
    assert [(job.status, job.attempt) for job in ended] == [(JobStatus.CANCELED, 1), (JobStatus.SUCCEEDED, 1)]


def test_a_node_that_hangs(scene: Scene) -> None:
    """A node that gives no sign for too long is stopped, and the job fails with what to do about it."""
    prompt = silent(60.0, steps=600)
    with scene.survivor(COMFYUI_STALL_MS=STALL_MS):
        (job,) = scene.well_ended(scene.stage.accept(prompt))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.attempt) == ("COMFYUI_TIMEOUT", False, 1)
    assert "COMFYUI_STALL_MS" in (job.error.recommendation or "")


def silent(seconds: float, steps: int = 20) -> dict[str, Any]:
    """Make a prompt with a node that works without progress."""
    prompt = sleeping(seconds, steps=steps)
    prompt["3"]["inputs"]["progress"] = False
    return prompt
