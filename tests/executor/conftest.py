"""Executor harnesses and a simulated ComfyUI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from testing.executor_harness import AwsExecutorHarness, InMemoryExecutorHarness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients


@pytest.fixture
def harness() -> InMemoryExecutorHarness:
    """Return a harness on in-memory ports."""
    return InMemoryExecutorHarness()


@pytest.fixture
def aws_harness(aws: dict[str, str], aws_clients: Clients) -> AwsExecutorHarness:
    """Return a harness on the emulated AWS."""
    return AwsExecutorHarness(aws, aws_clients)


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """Run a simulated ComfyUI."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server
