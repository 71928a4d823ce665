"""A real ComfyUI server on the CPU, with the lab nodes and a checkpoint that is small enough for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import requests

SCRIPT = Path(__file__).parent / "server" / "comfyui.sh"
INSTALL_SECONDS = 1800  # a slow network, once
START_SECONDS = 120  # 7 on an idle machine
STOP_SECONDS = 10
SHOWN_LOG_LINES = 40


class RealComfyUI:
    """The server, as a context manager; installed first if needed."""

    def __init__(self) -> None:
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        self._port = _free_port()
        self._log_path = cache / f"comfyui-{self._port}.log"
        self._base = tempfile.TemporaryDirectory(prefix="base-", dir=cache)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and wait until it responds."""
        self._process = process = self._run("serve", str(self._port), self._base.name)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f"ComfyUI did not start, code {process.returncode}:\n{self._log_tail()}", pytrace=False)
            with suppress(requests.RequestException):
                requests.get(f"{self.url}/system_stats", timeout=5).raise_for_status()
                return
            time.sleep(0.2)
        pytest.fail(f"ComfyUI did not respond within {START_SECONDS} s:\n{self._log_tail()}", pytrace=False)

    def kill(self) -> None:
        """Send SIGKILL."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._process = None

    def __enter__(self) -> Self:
        installation = self._run("install")
        if installation.wait(INSTALL_SECONDS) != 0:
            pytest.fail(f"ComfyUI could not be installed:\n{self._log_tail()}", pytrace=False)
        installation.communicate()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        code = None if self._process is None else self._process.poll()
        if self._process is not None:
            _end_group(self._process)
        tail = self._log_tail()
        self._base.cleanup()
        self._log_path.unlink()
        if code is not None:
            pytest.fail(f"ComfyUI ended by itself, with code {code}:\n{tail}", pytrace=False)

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Run the script in its own process group.

        Its standard input is a pipe without data: it closes when this process is killed, and the server then exits.
        """
        with self._log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  our own script
                ["bash", str(SCRIPT), *arguments],  # noqa: S607  of the system
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _log_tail(self) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        return "".join(lines[-SHOWN_LOG_LINES:])


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # for processes that ignored the first signal
    process.communicate()


def cache_folder() -> Path:
    """Return the folder that the script uses, too."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("COMFYUI_CACHE") or Path(user_cache, "comfyui-gateway", "comfyui"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
