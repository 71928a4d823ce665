"""Priorities, as the order in which ComfyUI executes prompts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gateway.domain.job import Priority, prompt_id
from testing.prompts import image_prompt, sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import InMemoryExecutorHarness

HIGH, NORMAL, LOW = Priority


def executed(simulator: SimulatorServer) -> list[str]:
    """Return the ids of the prompts that ComfyUI has executed, in order."""
    return list(requests.get(f"{simulator.url}/history", timeout=5).json())


def comfyui_queue(simulator: SimulatorServer) -> dict[str, list[str]]:
    """Return the ids of the running and of the pending prompts."""
    state: dict[str, list[Any]] = requests.get(f"{simulator.url}/queue", timeout=5).json()
    return {name.removeprefix("queue_"): [prompt[1] for prompt in prompts] for name, prompts in state.items()}


def wait_until_one_more_is_executed(simulator: SimulatorServer) -> None:
    """Wait until a prompt finishes."""
    before = len(executed(simulator))
    wait_until(lambda: len(executed(simulator)) > before, "an executed prompt")


def test_a_backlog_runs_by_priority(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """High before normal before low, in whatever order they were submitted."""
    submitted = [LOW, NORMAL, LOW, HIGH, NORMAL, HIGH, HIGH, NORMAL, LOW]
    jobs = {prompt_id(harness.submit(sleep_prompt(0.15), priority=each), 1): each for each in submitted}
    with harness.run_executor(simulator.url):
        wait_until(lambda: len(executed(simulator)) == len(submitted), "all executed")
    assert [jobs[each] for each in executed(simulator)] == [HIGH] * 3 + [NORMAL] * 3 + [LOW] * 3


@pytest.mark.parametrize("look_ahead", [1, 3])
def test_a_high_job_waits_for_the_running_prompt_only(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, look_ahead: int
) -> None:
    """It overtakes prompts of lower priority that wait in ComfyUI, however many they are."""
    for _ in range(5):
        harness.submit(sleep_prompt(1.5), priority=LOW)
    with harness.run_executor(simulator.url, grace_seconds=0, LOOK_AHEAD=str(look_ahead)):
        wait_until(lambda: len(comfyui_queue(simulator)["pending"]) == look_ahead, "a full look-ahead")
        (running,) = comfyui_queue(simulator)["running"]
        high = harness.submit(sleep_prompt(0.1), priority=HIGH)
        harness.wait_until_ended(high)
        assert executed(simulator)[:2] == [running, prompt_id(high, 1)]


def test_at_most_one_prompt_starts_before_a_high_job(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """Whenever the job is submitted, even while one prompt finishes and the next one starts."""
    for _ in range(20):
        harness.submit(sleep_prompt(0.4), priority=LOW)
    with harness.run_executor(simulator.url, grace_seconds=0):
        for tenths in (0, 1, 3, 4):
            wait_until_one_more_is_executed(simulator)
            time.sleep(tenths / 10)  # each time at another point of the next execution
            before = len(executed(simulator))
            high = harness.submit(sleep_prompt(0.1), priority=HIGH)
            harness.wait_until_ended(high)
            assert executed(simulator).index(prompt_id(high, 1)) <= before + 2


@pytest.mark.parametrize("priority", Priority)
def test_an_idle_executor_starts_any_job_at_once(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, priority: Priority
) -> None:
    """A job of low priority waits for other jobs, not for the next poll of its queue."""
    with harness.run_executor(simulator.url):
        harness.wait_until_ended(harness.submit(image_prompt(), priority=priority))  # it has started, and is idle again
        job = harness.wait_until_ended(harness.submit(image_prompt(), priority=priority))
    assert job.started_at is not None
    assert (job.started_at - job.created_at).total_seconds() < 1.0
