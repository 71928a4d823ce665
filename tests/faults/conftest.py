"""The whole executor side of the gateway, with everything in it that can be broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from tests.executor.stage import Stage
from tests.faults.gate import Gate, aws_step, comfyui_step
from tests.faults.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.aws.clients import Clients
    from local.emulator import Emulator


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    """Give a simulated ComfyUI."""
    with SimulatorServer(SimulatorSettings(seconds_per_step=0.01)) as server:
        yield server


@pytest.fixture
def scene(
    emulator: Emulator, aws: dict[str, str], aws_clients: Clients, simulator: SimulatorServer, tmp_path: Path
) -> Iterator[Scene]:
    """Give AWS and ComfyUI behind a gate each, and a witness."""
    with Gate(emulator.endpoint_url, aws_step) as aws_gate, Gate(simulator.url, comfyui_step) as comfyui_gate:
        yield Scene(Stage.on(aws, aws_clients), simulator, aws_gate, comfyui_gate, tmp_path)
