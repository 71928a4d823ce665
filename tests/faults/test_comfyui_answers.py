"""ComfyUI's HTTP side lags, loses prompts, and breaks connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus
from tests.executor.stage import picture, sleeping, wait_until
from tests.faults.gate import Passage, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.scene import Scene


def test_a_history_that_lags(scene: Scene) -> None:
    """A prompt that has ended and is not in the history yet is not lost."""
    with (
        SimulatorServer(SimulatorSettings(history_lag_seconds=(1.5, 1.5))) as lagging,
        scene.survivor(lagging.url),
    ):
        (job,) = scene.well_ended(scene.stage.accept(picture()), comfyuis=(lagging,))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


def test_a_prompt_lost_while_it_waits(scene: Scene) -> None:
    """What somebody else clears from ComfyUI's queue runs again."""
    with scene.survivor():
        jobs = [scene.stage.accept(sleeping(1.0)) for _ in range(2)]
        wait_until(lambda: scene.queued_in_comfyui() == 2, "one prompt running and one waiting")
        scene.simulator.lose_prompt(scene.waiting_in_comfyui())
        ended = scene.well_ended(*jobs)
    assert sorted((job.status, job.attempt) for job in ended) == [(JobStatus.SUCCEEDED, n) for n in (1, 2)]


def test_a_prompt_lost_when_it_ended(scene: Scene) -> None:
    """A result that is in no history was not seen by anybody: the prompt runs again."""
    scene.simulator.faults.lose_prompts = 1
    with scene.survivor():
        (job,) = scene.well_ended(scene.stage.accept(picture()))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


def test_interrupts_that_are_lost(scene: Scene) -> None:
    """They are repeated until the prompt is off."""
    scene.simulator.faults.lose_interrupts = 2
    with scene.survivor():
        job_id = scene.stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        scene.stage.request_cancel(job_id)
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.CANCELED, 1)


def accepted_with_an_error(passage: Passage) -> None:
    """Queue the prompt and answer 500, as ComfyUI does for an id and number that it has already."""
    passage.forward()
    passage.answer(Response(500, b"500 Internal Server Error"))


def accepted_without_an_answer(passage: Passage) -> None:
    """Queue the prompt, and break the connection."""
    passage.forward()
    passage.drop()


@pytest.mark.parametrize("fault", [accepted_with_an_error, accepted_without_an_answer])
def test_a_prompt_that_was_queued_all_the_same(scene: Scene, fault: Callable[[Passage], None]) -> None:
    """It is found in ComfyUI and runs once."""
    scene.comfyui_gate.fail("POST /prompt", fault)
    with scene.survivor(scene.comfyui_gate.url):
        (job,) = scene.well_ended(scene.stage.accept(sleeping(0.5)))
    assert job.status is JobStatus.SUCCEEDED
    assert scene.prompts_run() == 1


def cut(passage: Passage) -> None:
    """Break the connection in the middle of the answer."""
    passage.answer(passage.forward(), cut=True)


@pytest.mark.parametrize("fault", [cut, Passage.drop])
def test_an_output_cut_off(scene: Scene, fault: Callable[[Passage], None]) -> None:
    """Half a file is no output: it is fetched again, and nothing runs twice for it."""
    scene.comfyui_gate.fail("GET /view", fault)
    with scene.survivor(scene.comfyui_gate.url):
        (job,) = scene.well_ended(scene.stage.accept(picture()))
    assert job.status is JobStatus.SUCCEEDED
    assert scene.prompts_run() == 1


def test_outputs_that_are_gone(scene: Scene) -> None:
    """What ComfyUI reported and no longer has is made again by another run."""
    job_id = scene.stage.accept(picture())

    def gone(passage: Passage) -> None:
        of_first_attempt = f"{job_id}-1" in passage.request.path
        passage.answer(Response(404, b"") if of_first_attempt else passage.forward())

    scene.comfyui_gate.fail("GET /view", gone, times=1000)
    with scene.survivor(scene.comfyui_gate.url):
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
    assert scene.prompts_run() == 1  # beside the one that was forgotten


def test_connections_that_break(scene: Scene) -> None:
    """Asking again is enough."""
    for step in ("GET /queue", "GET /history", "GET /system_stats"):
        scene.comfyui_gate.fail(step, Passage.drop)
    with scene.survivor(scene.comfyui_gate.url):
        (job,) = scene.well_ended(scene.stage.accept(sleeping(2.5)))
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert not scene.comfyui_gate.left_to_fail()
