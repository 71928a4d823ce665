"""An executor process, forked from a process that has imported everything: imports took most of the tests' time."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import get_context
from typing import TYPE_CHECKING

from executor.__main__ import end_process, main
from local.child_process import ChildFailedError, end_with_parent
from testing.executor_harness import short_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_context = get_context("forkserver")
_context.set_forkserver_preload([__name__])
_end_with_server = end_with_parent(signal.SIGKILL)  # called in the fork server's process: executors end with it


class ForkedExecutor:
    """Has the interface of a Child with the command `python -m executor`."""

    def __init__(self, environment: Mapping[str, str], log_file: Path) -> None:
        self._log_file = log_file
        self._process = _context.Process(target=_run, args=(dict(environment), log_file))
        self._process.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid or 0

    def request_stop(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def stop(self, *, seconds: float) -> bool:
        """Send SIGTERM, and SIGKILL on timeout. Returns whether the process exited with 0."""
        self.request_stop()
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
        return self._process.exitcode == 0

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def failure(self) -> ChildFailedError:
        """Return an error with the exit code and the log."""
        return ChildFailedError(f"executor exited with code {self._process.exitcode}: {self._log_file.read_text()}")


def _run(environment: Mapping[str, str], log_file: Path) -> None:
    os.setsid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for output in (sys.stdout, sys.stderr):
        os.dup2(log, output.fileno())
    if _end_with_server:
        _end_with_server()
    os.environ.clear()
    os.environ.update(environment)
    with short_intervals():
        end_process(main())
