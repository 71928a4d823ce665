"""ComfyUI is there and says nothing: it reads a large model, its host swaps, or it cannot be reached for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus
from testing.fault_proxy import ProxiedRequest
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from tests.faults.fault_environment import FaultEnvironment

ASKED = ("GET /history", "GET /queue", "GET /system_stats", "POST /queue", "POST /interrupt", "POST /api")


def test_an_answer_that_does_not_come_costs_no_attempt(env: FaultEnvironment) -> None:
    """The prompt goes on meanwhile: another executor would run it a second time, beside it."""
    with env.healthy_executor(env.comfyui_proxy.url):
        job_id = env.harness.submit(sleep_prompt(2.0))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        env.comfyui_proxy.inject("GET /history", ProxiedRequest.hang)
        (job,) = env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert env.executed_prompt_count() == 1


def test_a_cancel_that_comfyui_cannot_be_told(env: FaultEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is canceled, on its last attempt as well, and its prompt taken off when ComfyUI can be reached again."""
    monkeypatch.setattr("executor.comfyui.monitor._ABANDONED_GRACE_SECONDS", 0.1)
    with env.healthy_executor(env.comfyui_proxy.url, MAX_ATTEMPTS="1"):
        job_id = env.harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: env.prompt_count() == 1, "a running prompt")
        for step in ASKED:
            env.comfyui_proxy.inject(step, ProxiedRequest.reset, times=1000)
        env.harness.request_cancel(job_id)
        assert env.harness.wait_until_ended(job_id).status is JobStatus.CANCELED
        assert env.prompt_count() == 1
        env.comfyui_proxy.clear_faults()
        wait_until(lambda: env.prompt_count() == 0, "the prompt taken off")
        env.check_ended(job_id)
