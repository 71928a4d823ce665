"""A process that local mode starts: in a session of its own, with a log file, and never outliving its parent."""

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
    """A child did not come up, or ended on its own; the message has its name, exit code, log file and last lines."""


class Child:
    """A running child process.

    It has its own session, so that Ctrl-C in the terminal reaches only the parent, which then stops its children
    in order. `orphan_signal` is what it gets when the parent is killed without a chance to do so (Linux only, see
    prctl(2), PR_SET_PDEATHSIG). The kernel counts the end of the *thread* that started the child, so start
    children from the main thread. `log_file` is begun anew; it takes both output streams.
    """

    def __init__(  # noqa: PLR0913  all but the first are named
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
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603  the commands are this package's own
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=inherited_fds,
                preexec_fn=end_with_parent(orphan_signal),  # noqa: PLW1509  it only makes system calls
            )

    @property
    def pid(self) -> int:
        """Process id, which is also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `ready` says so. Raises ChildFailedError when the child ends first or the time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                raise self.failure()
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} does not answer after {seconds:g} s{self._log_tail()}")
            time.sleep(_POLL_SECONDS)

    def failure(self) -> ChildFailedError:
        """Say how the child ended."""
        return ChildFailedError(f"{self.name} ended with exit code {self.exit_code}{self._log_tail()}")

    def request_stop(self) -> None:
        """Ask the child to end, without waiting for it."""
        if self.exit_code is None:
            self._process.terminate()

    def stop(self, *, seconds: float) -> bool:
        """Ask the child to end, and kill it with all it started when the time runs out.

        True when it ended as it was asked to.
        """
        self.request_stop()
        try:
            return self._process.wait(timeout=max(seconds, 0)) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
            return False

    def kill(self) -> None:
        """End the child and all it started, now. May be called in a signal handler: it waits for nothing."""
        if self._process.returncode is None:  # so it was not reaped, and the number is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _log_tail(self) -> str:
        text = self.log_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        lines = [f"  {line}" for line in text.splitlines()[-10:]]
        return "\n".join([f" (log: {self.log_file})", *lines])


def end_with_parent(orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Make the call by which a child of this process asks the kernel to be signalled when this process ends.

    To be called in the child, right after the fork. None where the kernel cannot do it.
    """
    if sys.platform != "linux":
        return None
    set_death_signal = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: after the fork only calls are safe
    pr_set_pdeathsig = 1
    parent = os.getpid()

    def in_child() -> None:
        set_death_signal(pr_set_pdeathsig, int(orphan_signal))
        if os.getppid() != parent:  # it was killed before the call: no signal will come
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
