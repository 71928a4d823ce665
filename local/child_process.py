"""Start child processes that have their own session and log file, and that never outlive this process."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_TAIL_BYTES = 4096
_POLL_SECONDS = 0.02
# No proxy for requests to this machine, whatever the environment configures for the rest of the world.
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ChildFailedError(GatewayError):
    """A child did not become ready, or exited by itself; the message has its name, exit code and last log lines."""


class Child:
    """A running child process.

    It has its own session, so that Ctrl-C in the terminal reaches only the parent, which then stops its children
    in order. The kernel sends it `orphan_signal` when the parent is killed (Linux only, see prctl(2),
    PR_SET_PDEATHSIG), or rather when the *thread* that started it ends: start children from the main thread.
    `log_file` is overwritten, and appended to by restarts; it receives both output streams. The working directory is
    the folder of the log: programs read files of their working directory, and the user's folder is not ours.
    """

    def __init__(  # noqa: PLR0913  keyword arguments
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log_file: Path,
        orphan_signal: signal.Signals = signal.SIGKILL,
        inherited_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._environment = environment
        self._orphan_signal = orphan_signal
        self._inherited_fds = inherited_fds
        log_file.write_bytes(b"")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  commands of this package
                self._command,
                env=self._environment,
                cwd=self.log_file.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._inherited_fds,
                preexec_fn=end_with_parent(self._orphan_signal),  # noqa: PLW1509  it only makes system calls
            )

    def restart(self) -> None:
        """Start the command again after it has exited."""
        with self.log_file.open("ab") as log:
            log.write(f"\n--- {self.exit_reason}; started again ---\n".encode())
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.poll()

    @property
    def exit_reason(self) -> str:
        """How it exited, such as `exited with code 1` or `was killed by SIGKILL`."""
        code = self.exit_code
        if code is None or code >= 0:
            return f"exited with code {code}"
        out_of_memory = ", possibly because memory ran out" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{out_of_memory}"

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `ready` returns True. Raises ChildFailedError when the child exits first or the time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                raise self.failure()
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} did not respond within {seconds:g} s{self._log_tail()}")
            time.sleep(_POLL_SECONDS)

    def failure(self) -> ChildFailedError:
        """Return the error that describes the exit of the child."""
        return ChildFailedError(f"{self.name} exited with code {self.exit_code}{self._log_tail()}")

    def request_stop(self) -> None:
        """Send SIGTERM to the child, without waiting for its exit."""
        if self.exit_code is None:
            self._process.terminate()

    def stop(self, *, seconds: float) -> bool:
        """Stop the child; kill its process group when the time runs out.

        Return whether it exited in time and with code 0.
        """
        self.request_stop()
        try:
            return self._process.wait(timeout=max(seconds, 0)) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
            return False

    def kill(self) -> None:
        """Kill the process group of the child. Safe in a signal handler: it does not wait."""
        if self._process.returncode is None:  # not reaped, so the id is not reused
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _log_tail(self) -> str:
        text = self.log_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        lines = [f"  {line}" for line in text.splitlines()[-10:]]
        return "\n".join([f" (log: {self.log_file})", *lines])


def end_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Return a function that makes the kernel signal a child when this process ends; None if not supported.

    Call the function in the child, right after the fork.
    """
    if sys.platform != "linux":
        return None
    set_death_signal = ctypes.CDLL(None, use_errno=True).prctl  # resolved here: after a fork only calls are safe
    pr_set_pdeathsig = 1
    parent = os.getpid()

    def in_child() -> None:
        set_death_signal(pr_set_pdeathsig, int(orphan_signal))
        if os.getppid() != parent:  # the parent died before the call: there will be no signal
            os._exit(1)

    return in_child


def is_responding(url: str) -> bool:
    """Return whether a GET returns 200 within 2 s."""
    try:
        with _without_proxy.open(url, timeout=2) as response:
            return bool(response.status == HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    """Return a port on 127.0.0.1 that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
