"""Three executors on one queue, each a process with its own ComfyUI."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from gateway.domain.job import JobStatus
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.executor_process import ExecutorProcess
    from tests.faults.fault_environment import FaultEnvironment


@pytest.fixture
def comfyuis() -> Iterator[list[SimulatorServer]]:
    """Run three ComfyUIs."""
    with ExitStack() as stack:
        yield [stack.enter_context(SimulatorServer(SimulatorSettings(seconds_per_step=0.01))) for _ in range(3)]


@pytest.fixture
def executors(env: FaultEnvironment, comfyuis: list[SimulatorServer]) -> Iterator[list[ExecutorProcess]]:
    """Run an executor for each of them."""
    with ExitStack() as stack:
        processes = [stack.enter_context(env.executor_process(comfyui.url)) for comfyui in comfyuis]
        wait_until(lambda: env.harness.heartbeat_count() == 3, "three heartbeats")
        yield processes


@pytest.mark.usefixtures("executors")
def test_they_share_the_work_evenly(env: FaultEnvironment, comfyuis: list[SimulatorServer]) -> None:
    """Each runs about twenty of sixty equal jobs, and each job runs once."""
    jobs = [env.harness.submit(sleep_prompt(0.3)) for _ in range(60)]
    ended = env.check_ended(*jobs, comfyuis=tuple(comfyuis))
    assert {(job.status, job.attempt) for job in ended} == {(JobStatus.SUCCEEDED, 1)}
    runs = [env.executed_prompt_count(comfyui) for comfyui in comfyuis]
    assert sum(runs) == 60
    assert all(15 <= count <= 25 for count in runs), runs


def test_the_loss_of_a_host_and_of_a_comfyui_loses_no_job(
    env: FaultEnvironment, comfyuis: list[SimulatorServer], executors: list[ExecutorProcess]
) -> None:
    """One executor and one other ComfyUI are killed; the third one runs the remaining jobs. Every job ends once."""
    jobs = [env.harness.submit(sleep_prompt(0.5)) for _ in range(24)]
    wait_until(lambda: all(env.executed_prompt_count(comfyui) >= 2 for comfyui in comfyuis), "executed prompts on each")
    executors[0].kill()
    comfyuis[1].kill()
    ended = env.check_ended(*jobs, comfyuis=(comfyuis[0], comfyuis[2]))
    assert {job.status for job in ended} == {JobStatus.SUCCEEDED}
    assert max(job.attempt for job in ended) == 2
