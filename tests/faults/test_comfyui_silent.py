"""ComfyUI is there and says nothing: it reads a large model, its host swaps, or it cannot be reached for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from tests.executor.stage import sleeping, wait_until
from tests.faults.gate import Passage

if TYPE_CHECKING:
    import pytest

    from tests.faults.scene import Scene

ASKED = ("GET /history", "GET /queue", "GET /system_stats", "POST /queue", "POST /interrupt", "POST /api")


def test_an_answer_that_does_not_come_costs_no_attempt(scene: Scene) -> None:
    """The prompt goes on meanwhile: another executor would run it a second time, beside it."""
    with scene.survivor(scene.comfyui_gate.url):
        job_id = scene.stage.accept(sleeping(2.0))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        scene.comfyui_gate.fail("GET /history", Passage.wait_until_given_up)
        (job,) = scene.well_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert scene.prompts_run() == 1


def test_a_cancel_that_comfyui_cannot_be_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is canceled, on its last attempt as well, and its prompt taken off when ComfyUI can be reached again."""
    monkeypatch.setattr("executor.comfyui.monitor._ABANDONED_GRACE_SECONDS", 0.1)
    with scene.survivor(scene.comfyui_gate.url, MAX_ATTEMPTS="1"):
        job_id = scene.stage.accept(sleeping(60.0, steps=600))
        wait_until(lambda: scene.queued_in_comfyui() == 1, "a running prompt")
        for step in ASKED:
            scene.comfyui_gate.fail(step, Passage.drop, times=1000)
        scene.stage.request_cancel(job_id)
        assert scene.stage.ended(job_id).status is JobStatus.CANCELED
        assert scene.queued_in_comfyui() == 1
        scene.comfyui_gate.mend()
        wait_until(lambda: scene.queued_in_comfyui() == 0, "the prompt taken off")
        scene.well_ended(job_id)
