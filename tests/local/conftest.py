"""Local mode, started and stopped for tests."""

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

FRONT_WORKERS = 8


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., GatewayProcess]]:
    """Start runs that do not outlive the test; the data folder is the same for all of one test."""
    runs: list[GatewayProcess] = []

    def start_one(*arguments: str, terminal: int | None = None, **variables: str) -> GatewayProcess:
        variables.setdefault("DATA_DIR", str(tmp_path / "data"))
        runs.append(GatewayProcess(tmp_path / f"output-{len(runs)}", *arguments, terminal=terminal, **variables))
        return runs[-1]

    yield start_one
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.fixture(scope="module")
def front_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file that the front logs to."""
    return tmp_path_factory.mktemp("front") / "front.log"


@pytest.fixture(scope="module")
def front(front_process: tuple[Child, str]) -> str:
    """Give the address of a running front whose handlers are those of echo_front.py."""
    return front_process[1]


@pytest.fixture(scope="module")
def front_process(front_log: Path) -> Iterator[tuple[Child, str]]:
    """Run that front; give its process, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            sys.executable,
            str(Path(__file__).with_name("echo_front.py")),
            str(listener.fileno()),
            str(FRONT_WORKERS),
        ]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, whichever is installed
        child = Child("front", command, environment=environment, log_file=front_log, inherited_fds=[listener.fileno()])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        requests.get(f"{url}/health", timeout=20)  # the socket listens already: this waits for the first worker
        yield child, url
    finally:
        assert child.stop(seconds=5)
