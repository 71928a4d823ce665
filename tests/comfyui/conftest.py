"""ComfyUI servers for this folder's tests, and the whole gateway in front of them.

Each test runs twice: on the simulator, and on a real server, which is started for it, or running at COMFYUI_TEST_URL.
A test that passes on one of them only shows a defect of the simulator.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator.server import SimulatorServer
from comfyui_simulator.settings import SimulatorSettings
from testing.executor_harness import AwsExecutorHarness
from tests.comfyui.gateway_process import LabGateway
from tests.comfyui.real_comfyui import RealComfyUI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.aws.clients import Clients

TEST_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Exclude fixtures, which may install ComfyUI, from the time limit of tests with the real server."""
    for item in items:
        if item.get_closest_marker("comfyui"):
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


@pytest.fixture(scope="session", params=["simulator", pytest.param("real", marks=pytest.mark.comfyui)])
def comfyui_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of a ComfyUI server; each test runs on the simulated and on the real one."""
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
    """Return a harness on the emulated AWS."""
    return AwsExecutorHarness(aws, aws_clients)


@pytest.fixture(scope="module", params=["simulator", pytest.param("real", marks=pytest.mark.comfyui)])
def mortal_comfyui(request: pytest.FixtureRequest) -> Iterator[SimulatorServer | RealComfyUI]:
    """Run a ComfyUI server, simulated and real, that a test may kill and restart."""
    with SimulatorServer() if request.param == "simulator" else RealComfyUI() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(comfyui_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabGateway]:
    """Run a gateway on this ComfyUI as `make run` starts it, with keys of an admin and a user."""
    with LabGateway(comfyui_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running
