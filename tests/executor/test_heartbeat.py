"""Heartbeats and model reports of an executor."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from executor import model_reporter
from executor.model_reporter import ModelReporter
from gateway.clock import SYSTEM_CLOCK
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pytest

    from comfyui_simulator.server import SimulatorServer
    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder
    from testing.executor_harness import InMemoryExecutorHarness


def heartbeats(harness: InMemoryExecutorHarness) -> list[Heartbeat]:
    """Read the heartbeats of the last minute."""
    return list(harness.ports.executors.heartbeats(SYSTEM_CLOCK.now() - timedelta(minutes=1)))


def test_a_heartbeat_describes_comfyui_and_its_gpu(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """ComfyUI's version, its device and memory, and that no job runs."""
    with harness.run_executor(simulator.url, EXECUTOR_ID="gpu-7"):
        wait_until(lambda: heartbeats(harness), "a heartbeat")
    (heartbeat,) = heartbeats(harness)
    assert (heartbeat.id, heartbeat.comfyui_reachable, heartbeat.comfyui_version) == ("gpu-7", True, "0.3.75")
    assert heartbeat.device is not None
    assert heartbeat.device.name == "cuda:0 Simulated GPU : native"
    assert 0 < heartbeat.device.vram_free_bytes <= heartbeat.device.vram_total_bytes == 24 * 1024**3
    assert (heartbeat.busy, heartbeat.current_job_id) == (False, None)


def test_a_heartbeat_names_the_running_job(harness: InMemoryExecutorHarness, simulator: SimulatorServer) -> None:
    """The job on the GPU, and the number of jobs including waiting ones; none once all are done."""
    with harness.run_executor(simulator.url):
        jobs = [harness.submit(sleep_prompt(1.0)) for _ in range(2)]
        wait_until(lambda: [heartbeat.jobs for heartbeat in heartbeats(harness)] == [2], "a heartbeat with both jobs")
        (heartbeat,) = heartbeats(harness)
        assert heartbeat.current_job_id in jobs
        for job_id in jobs:
            harness.wait_until_ended(job_id)
        wait_until(lambda: [heartbeat.busy for heartbeat in heartbeats(harness)] == [False], "an idle heartbeat")
        assert [heartbeat.current_job_id for heartbeat in heartbeats(harness)] == [None]


class FakeModels:
    """A ComfyUI with models, and the store that they are reported to."""

    def __init__(self) -> None:
        self.folders = {"checkpoints": ["a"], "loras": []}
        self.polls = 0
        self.reports: list[list[str]] = []

    def models(self) -> dict[str, list[str]]:
        """List the models, as ComfyUIClient does."""
        self.polls += 1
        return self.folders

    def put_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Record a report, as ExecutorStore does."""
        assert executor_id == "gpu-7"
        assert expires_at > SYSTEM_CLOCK.now()
        self.reports.append(list(folders))


def test_models_are_reported_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often they are polled, and again after a change."""
    monkeypatch.setattr(model_reporter, "_POLL_SECONDS", 0.01)
    fake = FakeModels()
    reporter = ModelReporter("gpu-7", fake, fake, SYSTEM_CLOCK)  # type: ignore[arg-type]  # has the methods that are used
    reporter.start()
    wait_until(lambda: fake.polls > 5, "some polls")
    fake.folders = {"checkpoints": ["a"], "loras": ["new"]}
    wait_until(lambda: len(fake.reports) == 2, "a report of the new models")
    polls = fake.polls
    wait_until(lambda: fake.polls > polls + 5, "more polls")
    reporter.stop()
    assert fake.reports == [["checkpoints"], ["checkpoints", "loras"]]


def test_models_are_reported_once_comfyui_responds(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer
) -> None:
    """An executor may start before its ComfyUI."""
    simulator.kill()
    with harness.run_executor(simulator.url, EXECUTOR_ID="gpu-7"):
        wait_until(lambda: heartbeats(harness), "a heartbeat")
        assert harness.ports.executors.models() == {}
        simulator.start()
        wait_until(lambda: harness.ports.executors.models().get("gpu-7"), "its models")
