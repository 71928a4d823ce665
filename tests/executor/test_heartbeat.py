"""What an executor tells of itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from executor import heartbeat, model_reporter
from gateway.aws.dynamodb.executor_store import DynamoExecutorStore
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps
from tests.executor.stage import Stage, sleeping, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from comfyui_simulator.server import SimulatorServer
    from gateway.domain.executor import Heartbeat
    from gateway.domain.model_files import ModelFolder


@pytest.fixture
def store(stage: Stage) -> DynamoExecutorStore:
    """Give what executors have told."""
    return DynamoExecutorStore(stage.clients.dynamodb, stage.environment["TABLE_NAME"])


def reports(store: DynamoExecutorStore) -> list[Heartbeat]:
    """Read the reports of the last minute."""
    return list(store.heartbeats(timestamps.now() - timedelta(minutes=1)))


def test_a_report_tells_of_comfyui_and_its_gpu(
    stage: Stage, simulator: SimulatorServer, store: DynamoExecutorStore
) -> None:
    """Its version, its device with the memory, and that nothing is being done."""
    with stage.executor(simulator.url, EXECUTOR_ID="gpu-7"):
        wait_until(lambda: reports(store), "a report")
    (report,) = reports(store)
    assert (report.id, report.comfyui_reachable, report.comfyui_version) == ("gpu-7", True, "0.3.75")
    assert report.device is not None
    assert report.device.name == "cuda:0 Simulated GPU : native"
    assert 0 < report.device.vram_free_bytes <= report.device.vram_total_bytes == 24 * 1024**3
    assert (report.busy, report.current_job_id) == (False, None)


def test_a_report_tells_which_job_runs(
    stage: Stage, simulator: SimulatorServer, store: DynamoExecutorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one on the GPU, and how many there are with those that wait behind it; nothing once all are done."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_SECONDS", 0)
    monkeypatch.setattr(heartbeat, "_POLL_SECONDS", 0.1)
    with stage.executor(simulator.url):
        jobs = [stage.accept(sleeping(1.5)) for _ in range(2)]
        wait_until(lambda: [report.jobs for report in reports(store)] == [2], "a report of both")
        (report,) = reports(store)
        assert report.current_job_id in jobs
        for job_id in jobs:
            stage.ended(job_id)
        wait_until(lambda: [report.busy for report in reports(store)] == [False], "a report of none")
        assert [report.current_job_id for report in reports(store)] == [None]


class Shelf:
    """A ComfyUI that has models, and the table that they are told to."""

    def __init__(self) -> None:
        self.folders = {"checkpoints": ["a"], "loras": []}
        self.looks = 0
        self.allowed: list[list[str]] = []

    def models(self) -> dict[str, list[str]]:
        """Tell the models."""
        self.looks += 1
        return self.folders

    def put_models(self, executor_id: str, folders: Mapping[str, ModelFolder], *, expires_at: datetime) -> None:
        """Be told of them."""
        assert executor_id == "gpu-7"
        assert expires_at > timestamps.now()
        self.allowed.append(list(folders))


def test_models_are_told_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however often they are looked at, and again when there are others."""
    monkeypatch.setattr(model_reporter, "_POLL_SECONDS", 0.01)
    shelf = Shelf()
    watch = model_reporter.ModelReporter("gpu-7", shelf, shelf, SYSTEM_CLOCK)  # type: ignore[arg-type]  # of each it has what is used
    watch.start()
    wait_until(lambda: shelf.looks > 5, "some looks")
    shelf.folders = {"checkpoints": ["a"], "loras": ["new"]}
    wait_until(lambda: len(shelf.allowed) == 2, "the new ones told")
    seen = shelf.looks
    wait_until(lambda: shelf.looks > seen + 5, "some more looks")
    watch.stop()
    assert shelf.allowed == [["checkpoints"], ["checkpoints", "loras"]]


def test_models_are_told_once_comfyui_is_there(
    stage: Stage, simulator: SimulatorServer, store: DynamoExecutorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor may start first."""
    monkeypatch.setattr(model_reporter, "_RETRY_SECONDS", 0.05)
    simulator.kill()
    with stage.executor(simulator.url, EXECUTOR_ID="gpu-7"):
        wait_until(lambda: reports(store), "a report")
        assert store.models() == {}
        simulator.start()
        wait_until(lambda: store.models().get("gpu-7"), "its models")
