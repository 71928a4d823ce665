"""ComfyUI accepts connections but does not respond: it reads a large model, or its host swaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executor.comfyui import client, monitor
from gateway.domain.job import JobStatus
from testing.fault_proxy import ProxiedRequest
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from tests.faults.fault_environment import ComfyUIFaultEnvironment

ALL_STEPS = ("GET /history", "GET /queue", "GET /system_stats", "POST /queue", "POST /interrupt", "POST /api")


def test_a_missing_response_costs_no_attempt(
    comfyui_env: ComfyUIFaultEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompt continues meanwhile: another executor would run it a second time, next to it."""
    # Longer than the tolerance for a ComfyUI that refuses connections, as in production.
    monkeypatch.setattr(client, "_READ_SECONDS", 2.0)
    monkeypatch.setattr(monitor, "_UNREACHABLE_SECONDS", 1.0)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        job_id = comfyui_env.harness.submit(sleep_prompt(1.0))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        comfyui_env.comfyui_proxy.inject("GET /history", ProxiedRequest.hang)
        (job,) = comfyui_env.check_ended(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)
    assert comfyui_env.executed_prompt_count() == 1


def test_a_job_is_canceled_while_comfyui_is_unreachable(
    comfyui_env: ComfyUIFaultEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on its last attempt; its prompt is canceled when ComfyUI responds again."""
    monkeypatch.setattr(monitor, "_ABANDONED_GRACE_SECONDS", 0.1)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url, MAX_ATTEMPTS="1"):
        job_id = comfyui_env.harness.submit(sleep_prompt(60.0, steps=600))
        wait_until(lambda: comfyui_env.prompt_count() == 1, "a running prompt")
        for step in ALL_STEPS:
            comfyui_env.comfyui_proxy.inject(step, ProxiedRequest.reset, times=1000)
        comfyui_env.harness.request_cancel(job_id)
        assert comfyui_env.harness.wait_until_ended(job_id).status is JobStatus.CANCELED
        assert comfyui_env.prompt_count() == 1
        comfyui_env.comfyui_proxy.clear_faults()
        wait_until(lambda: comfyui_env.prompt_count() == 0, "the canceled prompt")
        comfyui_env.check_ended(job_id)
