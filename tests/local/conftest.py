"""Fixtures that start and stop local mode."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from local.child_process import Child
from tests.local.command import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API_WORKERS = 8


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Start runs that end with the test; all runs of one test share a data folder."""
    runs: list[GatewayProcess] = []

    def start_one(
        *arguments: str, terminal: int | None = None, cwd: Path | None = None, **variables: str
    ) -> GatewayProcess:
        variables.setdefault("DATA_DIR", str(tmp_path / "data"))
        output = tmp_path / f"output-{len(runs)}"
        runs.append(GatewayProcess(output, *arguments, terminal=terminal, cwd=cwd, **variables))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.fixture(scope="module")
def api_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the log file of the API process."""
    return tmp_path_factory.mktemp("api") / "api.log"


@pytest.fixture(scope="module")
def api_url(api_process: tuple[Child, str]) -> str:
    """Return the address of an API process with the handlers of echo_api.py."""
    return api_process[1]


@pytest.fixture(scope="module")
def api_process(api_log: Path) -> Iterator[tuple[Child, str]]:
    """Run that API process; yield it and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            sys.executable,
            str(Path(__file__).with_name("echo_api.py")),
            str(listener.fileno()),
            str(API_WORKERS),
        ]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, even if another one is installed
        child = Child("api", command, environment=environment, log_file=api_log, inherited_fds=[listener.fileno()])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        requests.get(f"{url}/health", timeout=20)  # waits for the first worker: the socket already listens
        yield child, url
    finally:
        assert child.stop(seconds=5)
