"""Prompts on a ComfyUI that no attempt waits for are canceled, unless an attempt resumes them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import requests

from executor.comfyui import monitor
from executor.comfyui.client import new_client_id
from gateway.domain.job import JobStatus, prompt_id
from testing.aws_faults import response_lost
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from tests.faults.fault_environment import ComfyUIFaultEnvironment


def test_a_prompt_that_was_queued_without_a_response_is_canceled(
    comfyui_env: ComfyUIFaultEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt failed, but ComfyUI has the prompt."""
    monkeypatch.setattr(monitor, "_ABANDONED_GRACE_SECONDS", 0.1)
    comfyui_env.comfyui_proxy.inject("POST /prompt", response_lost)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url, MAX_ATTEMPTS="1"):
        job_id = comfyui_env.harness.submit(sleep_prompt(60.0, steps=600))
        assert comfyui_env.harness.wait_until_ended(job_id).status is JobStatus.FAILED
        wait_until(lambda: comfyui_env.prompt_count() == 0, "the canceled prompt")


def test_a_prompt_that_was_queued_without_a_response_is_resumed(comfyui_env: ComfyUIFaultEnvironment) -> None:
    """By the next attempt on the same ComfyUI."""
    comfyui_env.comfyui_proxy.inject("POST /prompt", response_lost)
    with comfyui_env.run_executor(comfyui_env.comfyui_proxy.url):
        job_id = comfyui_env.harness.submit(sleep_prompt(1.5))
        assert comfyui_env.harness.wait_until_ended(job_id).status is JobStatus.SUCCEEDED
    assert comfyui_env.executed_prompt_count() == 1


def test_prompts_of_a_killed_executor_are_canceled(
    comfyui_env: ComfyUIFaultEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no attempt resumes them. Prompts of other clients are left alone."""
    monkeypatch.setattr(monitor, "_ABANDONED_GRACE_SECONDS", 0.1)
    own, other = (prompt_id(str(uuid.uuid4()), 1) for _ in range(2))
    for queued_id, client_id in ((own, new_client_id()), (other, "a-browser")):
        body = {"prompt": sleep_prompt(60.0, steps=600), "prompt_id": queued_id, "client_id": client_id}
        requests.post(f"{comfyui_env.simulator.url}/prompt", json=body, timeout=5).raise_for_status()
    assert comfyui_env.prompt_count() == 2
    with comfyui_env.run_executor(LEASE_SECONDS="2"):
        wait_until(lambda: comfyui_env.prompt_count() == 1, "the canceled prompt")
        assert own in comfyui_env.history()
    requests.post(f"{comfyui_env.simulator.url}/interrupt", json={"prompt_id": other}, timeout=5)
