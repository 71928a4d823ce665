"""Priorities, as ComfyUI sees them: in the order in which it ran the prompts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gateway.domain.job import Priority, prompt_id
from tests.executor.stage import Stage, picture, sleeping, wait_until

if TYPE_CHECKING:
    from comfyui_simulator.server import SimulatorServer

HIGH, NORMAL, LOW = Priority


def ran(simulator: SimulatorServer) -> list[str]:
    """List the ids of the prompts that ComfyUI ran, in order."""
    return list(requests.get(f"{simulator.url}/history", timeout=5).json())


def on_comfyui(simulator: SimulatorServer) -> dict[str, list[str]]:
    """List the ids of the prompts that run, and of those that wait, on ComfyUI."""
    state: dict[str, list[Any]] = requests.get(f"{simulator.url}/queue", timeout=5).json()
    return {name.removeprefix("queue_"): [prompt[1] for prompt in prompts] for name, prompts in state.items()}


def wait_for_an_end(simulator: SimulatorServer) -> None:
    """Wait until a prompt ends."""
    before = len(ran(simulator))
    wait_until(lambda: len(ran(simulator)) > before, "the end of a prompt")


def test_a_backlog_runs_by_priority(stage: Stage, simulator: SimulatorServer) -> None:
    """High before normal before low, whenever they came."""
    came = [LOW, NORMAL, LOW, HIGH, NORMAL, HIGH, HIGH, NORMAL, LOW]
    priorities = {prompt_id(stage.accept(sleeping(0.3), priority=priority), 1): priority for priority in came}
    with stage.executor(simulator.url):
        wait_until(lambda: len(ran(simulator)) == len(came), "all have run")
    assert [priorities[prompt] for prompt in ran(simulator)] == [HIGH] * 3 + [NORMAL] * 3 + [LOW] * 3


@pytest.mark.parametrize("look_ahead", [1, 3])
def test_a_high_job_waits_for_the_running_prompt_only(
    stage: Stage, simulator: SimulatorServer, look_ahead: int
) -> None:
    """It overtakes those of lower priority that wait on ComfyUI already, however many they are."""
    for _ in range(5):
        stage.accept(sleeping(4.0), priority=LOW)
    with stage.executor(simulator.url, LOOK_AHEAD=str(look_ahead)):
        wait_until(lambda: len(on_comfyui(simulator)["pending"]) == look_ahead, "the look-ahead full")
        (running,) = on_comfyui(simulator)["running"]
        high = stage.accept(sleeping(0.1), priority=HIGH)
        stage.ended(high)
    assert ran(simulator)[:2] == [running, prompt_id(high, 1)]


def test_at_most_one_prompt_begins_before_a_high_job(stage: Stage, simulator: SimulatorServer) -> None:
    """Whenever it comes, even as one prompt ends and the next begins."""
    for _ in range(20):
        stage.accept(sleeping(0.6), priority=LOW)
    with stage.executor(simulator.url):
        for tenths in (0, 2, 4, 6):
            wait_for_an_end(simulator)
            time.sleep(tenths / 10)  # each time at another point of the next one
            running = len(ran(simulator))
            high = stage.accept(sleeping(0.1), priority=HIGH)
            stage.ended(high)
            assert ran(simulator).index(prompt_id(high, 1)) <= running + 2


@pytest.mark.parametrize("priority", Priority)
def test_an_idle_executor_starts_any_job_at_once(stage: Stage, simulator: SimulatorServer, priority: Priority) -> None:
    """Low priority waits for others, not for a look at its queue."""
    with stage.executor(simulator.url):
        stage.ended(stage.accept(picture(), priority=priority))  # by now it has come up, and is idle again
        job = stage.ended(stage.accept(picture(), priority=priority))
    assert job.started_at is not None
    assert (job.started_at - job.created_at).total_seconds() < 1.0
