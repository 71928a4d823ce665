"""A simulated ComfyUI and an embedded AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from tests.executor.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients


@pytest.fixture
def stage(aws: dict[str, str], aws_clients: Clients) -> Stage:
    """Give the AWS side."""
    return Stage.on(aws, aws_clients)


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """Give a simulated ComfyUI."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server
