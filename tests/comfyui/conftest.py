"""ComfyUI servers for this folder's tests, and the whole gateway in front of them.

Each test runs twice: on the simulator, and on a real server, which is started for it or lent by COMFYUI_TEST_URL.
What one passes and the other does not is a defect of the simulator.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from testing.executor_harness import AwsExecutorHarness
from tests.comfyui.gateway_process import GatewayProcess
from tests.comfyui.real_comfyui import RealComfyUI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients

TEST_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the fixtures' time, an installation perhaps, out of the limit of a test that uses the real server."""
    for item in items:
        if item.get_closest_marker("comfyui"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


@pytest.fixture(scope="session", params=["simulator", pytest.param("real", marks=pytest.mark.comfyui)])
def comfyui_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the address of a ComfyUI server: each test runs on the simulated one and on the real one."""
    with _simulated() if request.param == "simulator" else _real() as url:
        yield url


@contextmanager
def _simulated() -> Iterator[str]:
    with SimulatorServer(SimulatorSettings()) as server:
        yield server.url


@contextmanager
def _real() -> Iterator[str]:
    lent = os.environ.get("COMFYUI_TEST_URL")
    if lent:
        yield lent.rstrip("/")
        return
    with RealComfyUI() as server:
        yield server.url


@pytest.fixture
def harness(aws: dict[str, str], aws_clients: Clients) -> AwsExecutorHarness:
    """Give the AWS side."""
    return AwsExecutorHarness(aws, aws_clients)


@pytest.fixture(scope="module", params=["simulator", pytest.param("real", marks=pytest.mark.comfyui)])
def mortal_comfyui(request: pytest.FixtureRequest) -> Iterator[SimulatorServer | RealComfyUI]:
    """Give a ComfyUI server, simulated and real, that a test may kill and start again."""
    with SimulatorServer() if request.param == "simulator" else RealComfyUI() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(comfyui_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Give a gateway that runs on this ComfyUI as `make run` starts it, with an admin's and a user's key."""
    with GatewayProcess(comfyui_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running
