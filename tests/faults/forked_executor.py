"""An executor forked from a process that has imported all of it: imports took most of these tests' time."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing import get_context
from typing import TYPE_CHECKING

from executor.__main__ import main
from local.child_process import ChildFailedError, end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_context = get_context("forkserver")
_context.set_forkserver_preload([__name__])
_end_with_server = end_with_parent(signal.SIGKILL)  # made when the server imports this, so it is the server's end


class ForkedExecutor:
    """Does what a Child with the command `python -m executor` does."""

    def __init__(self, environment: Mapping[str, str], log_file: Path) -> None:
        self._log_file = log_file
        self._process = _context.Process(target=_run, args=(dict(environment), log_file))
        self._process.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid or 0

    def request_stop(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def stop(self, *, seconds: float) -> bool:
        """Ask it to end, and kill it when the time runs out. True when it ended as it was asked to."""
        self.request_stop()
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            self._process.join()
        return self._process.exitcode == 0

    def kill(self) -> None:
        """End it, now."""
        self._process.kill()

    def failure(self) -> ChildFailedError:
        """Say how it ended."""
        return ChildFailedError(f"executor ended with exit code {self._process.exitcode}: {self._log_file.read_text()}")


def _run(environment: Mapping[str, str], log_file: Path) -> None:
    os.setsid()
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for output in (sys.stdout, sys.stderr):
        os.dup2(log, output.fileno())
    if _end_with_server:
        _end_with_server()
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(main())
