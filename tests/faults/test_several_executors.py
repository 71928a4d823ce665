"""Several executors on one queue: none runs what another one runs, whatever the queue and the clocks say."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from tests.executor.stage import picture, sleeping, wait_until
from tests.faults.executor_process import wrong_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scene import Scene


@pytest.fixture
def other_simulator() -> Iterator[SimulatorServer]:
    """Give the ComfyUI beside another executor."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server


def test_two_executors_share_the_work(scene: Scene, other_simulator: SimulatorServer) -> None:
    """Each job runs once, on one of them; both have something to do."""
    with scene.survivor(executor_id="a"), scene.survivor(other_simulator.url, executor_id="b"):
        jobs = [scene.stage.accept(sleeping(0.3)) for _ in range(8)]
        ended = scene.well_ended(*jobs, comfyuis=(other_simulator,))
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    runs = [scene.prompts_run(), scene.prompts_run(other_simulator)]
    assert sum(runs) == len(jobs)
    assert min(runs) > 0


def test_messages_that_come_several_times(scene: Scene, other_simulator: SimulatorServer) -> None:
    """A copy that comes while the job runs is left alone, one that comes late is thrown away."""
    prompt = sleeping(1.0)
    with scene.survivor(executor_id="a"), scene.survivor(other_simulator.url, executor_id="b"):
        job_id = scene.stage.accept(prompt)
        for _ in range(3):
            scene.stage.send(job_id, prompt)
        scene.stage.ended(job_id)
        scene.stage.send(job_id, prompt)
        (job,) = scene.well_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.prompts_run() + scene.prompts_run(other_simulator) == 1


def test_a_job_is_taken_over_when_its_lease_ends(scene: Scene) -> None:
    """Not a whole lease after its message was looked at in vain."""
    scene.lease_seconds = 30
    job_id = scene.stage.create()
    now = timestamps.now()
    scene.stage.jobs.claim(job_id, executor_id="gone", now=now, lease_until=now + timedelta(seconds=3))
    scene.stage.send(job_id, picture())
    with scene.survivor():
        job = scene.stage.ended(job_id, scene.lease_seconds / 2)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_an_executor_that_stood_still(scene: Scene, other_simulator: SimulatorServer) -> None:
    """Another took its job over: when it goes on, it takes its prompt off ComfyUI and writes nothing."""
    with scene.executor() as process:
        job_id = scene.stage.accept(sleeping(3.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        process.freeze()
        scene.simulator.faults.worker_stuck = True  # so that the prompt is still there, however long the rest takes
        with scene.survivor(other_simulator.url):
            wait_until(lambda: scene.stage.job(job_id).attempt == 2, "a second attempt")
            process.thaw()
            scene.simulator.faults.worker_stuck = False
            (job,) = scene.well_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    (entry,) = scene.history().values()
    assert entry["status"]["status_str"] == "error"  # interrupted


@pytest.mark.parametrize("skew", ["+60", "-60"])
def test_a_clock_that_is_wrong_by_a_minute(scene: Scene, other_simulator: SimulatorServer, skew: str) -> None:
    """Neither does an executor with such a clock take a job that another one holds, nor is its own taken from it."""
    prompt = sleeping(2.0)
    with (
        scene.executor(wrapper=wrong_clock(skew)),
        scene.executor(other_simulator.url),
    ):
        wait_until(lambda: scene.executors_at_work() == 2, "both at work")
        job_id = scene.stage.accept(prompt)
        for _ in range(6):
            scene.stage.send(job_id, prompt)
        (job,) = scene.well_ended(job_id, comfyuis=(other_simulator,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.prompts_run() + scene.prompts_run(other_simulator) == 1


@pytest.mark.parametrize("skew", ["+60", "-60"])
def test_a_wrong_clock_does_not_hold_up_recovery(scene: Scene, skew: str) -> None:
    """The lease of a killed executor runs out when it should, whatever its clock said."""
    hold = scene.aws_gate.hold("PutObject", carried_out=False)
    job_id = scene.stage.accept(picture())
    with scene.executor(wrapper=wrong_clock(skew)) as process:
        hold.wait()
        process.kill()
        hold.drop()
    with scene.survivor():
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
