"""ComfyUI's socket says nothing, or nonsense, or is gone, while HTTP works: it is for progress and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from executor.comfyui.websocket import ProgressSocket
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus
from tests.executor.stage import picture, sleeping, wait_until
from tests.faults.deaf_client import deaf_client

if TYPE_CHECKING:
    from tests.faults.scene import Scene

# Shorter than the jobs: a socket that says nothing must not pass for a ComfyUI that does nothing.
STALL = {"COMFYUI_STALL_MS": "1500"}
JOB_SECONDS = 3.0


@pytest.mark.parametrize("fault", ["silent_sockets", "garbage_frames"])
def test_a_socket_that_is_of_no_use(scene: Scene, fault: str) -> None:
    """The job ends well at its first attempt, however long the socket says nothing, or nonsense."""
    setattr(scene.simulator.faults, fault, True)
    with scene.survivor(**STALL):
        (job,) = scene.well_ended(scene.stage.accept(sleeping(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_nonsense_does_not_hide_what_makes_sense(scene: Scene) -> None:
    """Custom nodes send what they like through the socket: the progress between it is heard."""
    scene.simulator.faults.garbage_frames = True
    with scene.survivor():
        job_id = scene.stage.accept(sleeping(JOB_SECONDS))
        wait_until(lambda: 0 < (scene.stage.job(job_id).progress or 0) < 100, "progress")
        scene.well_ended(job_id)


def test_a_socket_that_falls_silent(scene: Scene) -> None:
    """The same when it has spoken of the job before."""
    with scene.survivor(**STALL):
        job_id = scene.stage.accept(sleeping(JOB_SECONDS))
        wait_until(lambda: scene.stage.job(job_id).progress, "progress")
        scene.simulator.faults.silent_sockets = True
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_socket_that_is_closed(scene: Scene) -> None:
    """The job that runs goes on without progress, for no event is sent twice; the next one's is heard again."""
    with scene.survivor(**STALL):
        first = scene.stage.accept(sleeping(JOB_SECONDS))
        wait_until(lambda: scene.stage.job(first).progress, "progress")
        scene.simulator.close_sockets()
        (job,) = scene.well_ended(first)
        second = scene.stage.accept(sleeping(JOB_SECONDS))
        wait_until(lambda: 0 < (scene.stage.job(second).progress or 0) < 100, "progress on a new socket")
        scene.well_ended(second)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_each_connection_has_an_id_of_its_own(scene: Scene) -> None:
    """A second socket under the id of the first goes deaf when that one closes."""
    events = ProgressSocket(scene.simulator.url, stall_seconds=10, clock=SYSTEM_CLOCK)
    events.start()
    try:
        assert events.wait_connected(5)
        first = events.client_id
        scene.simulator.close_sockets()
        wait_until(lambda: events.client_id != first and events.wait_connected(0), "a new connection")
    finally:
        events.stop()


def test_no_socket_at_all(scene: Scene) -> None:
    """A proxy before ComfyUI that lets no WebSocket pass costs progress and a little time, but no job."""
    with scene.survivor(scene.comfyui_gate.url):
        (job,) = scene.well_ended(scene.stage.accept(picture()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_another_client_that_does_not_read(scene: Scene) -> None:
    """While one client stalls the events of all, jobs go on by HTTP."""
    with deaf_client(scene.simulator.url), scene.survivor(**STALL):
        (job,) = scene.well_ended(scene.stage.accept(sleeping(JOB_SECONDS)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
