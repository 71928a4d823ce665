"""ComfyUI servers for this folder's tests, and the whole gateway in front of them.

Each test runs twice: on the simulator, and on a real server, which is started for it or lent by COMFYUI_TEST_URL.
What one passes and the other does not is a defect of the simulator.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from cli.comfyui_simulator.server import SimulatorServer
from cli.comfyui_simulator.settings import SimulatorSettings
from tests.comfyui.gateway_process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

SCRIPT = Path(__file__).parent / "server" / "comfyui.sh"
INSTALL_SECONDS = 1800  # a slow network, once
START_SECONDS = 120  # 7 when the machine has nothing else to do
STOP_SECONDS = 10
TEST_SECONDS = 120
SHOWN_LOG_LINES = 40


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
    """Start a server that has the lab nodes and a checkpoint small enough for a CPU; install it first when need be."""
    lent = os.environ.get("COMFYUI_TEST_URL")
    if lent:
        yield lent.rstrip("/")
        return
    cache = _cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    log_path = cache / "comfyui.log"
    log_path.unlink(missing_ok=True)  # a run going on at the same time keeps its own, unnamed
    # Appending, since the server writes through the same open file: reading must not move where it writes.
    with log_path.open("a+", encoding="utf-8", errors="replace") as log:
        with _process_group(log, "install") as installation:
            if installation.wait(INSTALL_SECONDS) != 0:
                pytest.fail(f"ComfyUI could not be installed:\n{_tail(log)}", pytrace=False)
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        with (
            tempfile.TemporaryDirectory(prefix="base-", dir=cache) as base,
            _process_group(log, "serve", str(port), base) as server,
        ):
            _wait_until_it_answers(url, server, log)
            yield url
            if server.poll() is not None:
                pytest.fail(f"ComfyUI ended by itself, with code {server.returncode}:\n{_tail(log)}", pytrace=False)


def _cache_folder() -> Path:
    """Name the folder that the script uses, too."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("COMFYUI_CACHE") or Path(user_cache, "comfyui-gateway", "comfyui"))


@contextmanager
def _process_group(log: IO[str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the script; at the end nothing that it started is left.

    Its standard input is a pipe that nobody writes to: when this process is killed, it closes, and the server ends.
    """
    command = ["bash", str(SCRIPT), *arguments]
    with subprocess.Popen(  # noqa: S603  our own script
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what did not listen


def _wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(f"ComfyUI did not start, code {server.returncode}:\n{_tail(log)}", pytrace=False)
        try:
            requests.get(f"{url}/system_stats", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"ComfyUI did not answer within {START_SECONDS} s:\n{_tail(log)}", pytrace=False)


def _tail(log: IO[str]) -> str:
    log.seek(0)
    return "".join(log.readlines()[-SHOWN_LOG_LINES:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def gateway(comfyui_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Give a gateway that runs on this ComfyUI as `make run` starts it, with an admin's and a user's key."""
    with GatewayProcess(comfyui_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running
