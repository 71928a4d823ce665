"""The executor with AWS and ComfyUI behind fault proxies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from testing.executor_harness import AwsExecutorHarness, InMemoryExecutorHarness
from testing.fault_proxy import FaultProxy, aws_step, comfyui_step
from tests.faults.fault_environment import ComfyUIFaultEnvironment, FaultEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients
    from local.emulator import Emulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as slow: they wait for leases, retries and restarts."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """Run a simulated ComfyUI."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server


@pytest.fixture
def env(
    emulator: Emulator, aws: dict[str, str], aws_clients: Clients, simulator: SimulatorServer, tmp_path: Path
) -> Iterator[FaultEnvironment]:
    """Run a fault proxy in front of AWS and of ComfyUI."""
    with (
        FaultProxy(emulator.endpoint_url, aws_step) as aws_proxy,
        FaultProxy(simulator.url, comfyui_step) as comfyui_proxy,
    ):
        yield FaultEnvironment(AwsExecutorHarness(aws, aws_clients), simulator, aws_proxy, comfyui_proxy, tmp_path)


@pytest.fixture
def comfyui_env(simulator: SimulatorServer) -> Iterator[ComfyUIFaultEnvironment]:
    """Run a fault proxy in front of ComfyUI, for executors on in-memory ports."""
    with FaultProxy(simulator.url, comfyui_step) as comfyui_proxy:
        yield ComfyUIFaultEnvironment(InMemoryExecutorHarness(), simulator, comfyui_proxy)
