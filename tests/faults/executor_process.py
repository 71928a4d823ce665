"""The executor as a process of its own, to be killed, stopped and frozen."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.local.child import Child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 20


class ExecutorProcess:
    """`python -m executor`, running."""

    def __init__(self, environment: Mapping[str, str], log_file: Path) -> None:
        self._child = Child(
            "executor",
            [sys.executable, "-m", "executor"],
            environment={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment},
            log_file=log_file,
        )

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it is gone."""
        self._child.kill()
        self._child.stop(seconds=STOP_SECONDS)

    def terminate(self) -> None:
        """Ask it to end, by SIGTERM."""
        self._child.request_stop()

    def wait(self) -> None:
        """Wait until it has ended as it was asked to."""
        assert self._child.stop(seconds=STOP_SECONDS), self._child.failure().message

    def freeze(self) -> None:
        """Let it stand still, as a host that is suspended, or swaps."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._child.pid, signal.SIGCONT)


@contextmanager
def executor_process(environment: Mapping[str, str], log_file: Path) -> Iterator[ExecutorProcess]:
    """Run an executor; it is gone after the block. When the test fails, so does its log's file name."""
    process = ExecutorProcess(environment, log_file)
    try:
        yield process
    except (AssertionError, pytest.fail.Exception):
        sys.stderr.write(f"the executor said:\n{log_file.read_text()}\n")
        raise
    finally:
        process.kill()
