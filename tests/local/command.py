"""Run `comfyui-gateway run` as a process, for tests."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable

OWN = (
    "API_KEYS",
    "COMFYUI_URL",
    "JWT_SECRET",
    "S3_BUCKET",
    "S3_ENDPOINT",
    "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_PREVIOUS",
)  # variables of the user that would change the tests
START_SECONDS = 30
STOP_SECONDS = 30
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


class GatewayProcess:
    """`comfyui-gateway run` with these variables, on a free port unless PORT is one of them.

    `terminal`: the file descriptor of a terminal to run it in.
    """

    def __init__(
        self, output: Path, *arguments: str, terminal: int | None = None, cwd: Path | None = None, **variables: str
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in OWN}
        self.environment = {**inherited, "PORT": str(free_port()), "COMFYUI_URL": f"http://127.0.0.1:{free_port()}"}
        self.environment |= {"RATE_LIMIT_MAX": "0", **variables}  # tests send many requests
        self.output = output
        with output.open("w") as stream:
            self.process = subprocess.Popen(  # noqa: S603  the command under test
                [sys.executable, "-P", "-m", "cli", "run", *arguments],
                env=self.environment,
                cwd=cwd,
                stdin=terminal,
                stdout=stream if terminal is None else terminal,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=restore_signals if terminal is None else start_in_terminal,  # noqa: PLW1509  system calls
            )

    def up(self) -> str:
        """Wait until it is up; return its address."""
        wait_until(lambda: "Or by HTTP:\n  curl " in self.text or self.process.poll() is not None, START_SECONDS)
        found = re.search(r"is running at (\S+)\. ", self.text)
        assert found, self.text
        return found[1]

    @property
    def text(self) -> str:
        """The output so far."""
        return self.output.read_text()

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)

    def descendants(self) -> list[int]:
        """Return the process ids of its children and their descendants."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has exited meanwhile
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found[1:]


def control_terminal() -> None:
    """Make the terminal at standard input that of this session, as login does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def restore_signals() -> None:
    """Let SIGINT and SIGHUP stop this process though the tests ignore them, as under nohup or in a background job.

    A process inherits the signals that are ignored, and Python then raises no KeyboardInterrupt.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start_in_terminal() -> None:
    """Start a process as a shell in a terminal does."""
    control_terminal()
    restore_signals()


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition is true; fail when the time runs out."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def all_gone(pids: list[int]) -> bool:
    """Return whether all processes have exited; zombies count as exited."""

    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return not any(alive(pid) for pid in pids)


def finished_job(url: str, **headers: str) -> dict[str, Any]:
    """Run a job until it has succeeded, and return it."""
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 2}}
    accepted = requests.post(f"{url}/jobs", json=body, headers=headers, timeout=10)
    assert accepted.status_code == 202, accepted.text
    job: dict[str, Any] = requests.get(f"{url}{accepted.json()['pollUrl']}?wait=25", headers=headers, timeout=30).json()
    assert job["status"] == "succeeded", job
    return job


def assert_refused(run: GatewayProcess, variable: str) -> None:
    """Check that the run exits with one line that starts with the wrong variable."""
    assert run.process.wait(timeout=START_SECONDS) == 1
    assert len(run.text.splitlines()) == 1
    assert run.text.startswith(f"comfyui-gateway: {variable}: ")
