"""The executor as a process that can be killed, terminated and frozen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.child_process import Child
from tests.faults.forked_executor import ForkedExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 20
_FORKING_SECONDS = 10


class ExecutorProcess:
    """A running executor. `wrapper`: a command that runs the command after it; without one the executor is forked."""

    def __init__(self, environment: Mapping[str, str], log_file: Path, wrapper: Sequence[str]) -> None:
        environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment}
        command = [*wrapper, sys.executable, "-m", "executor"]
        self._child = (
            Child("executor", command, environment=environment, log_file=log_file)
            if wrapper
            else ForkedExecutor(environment, log_file)
        )

    def kill(self) -> None:
        """Send SIGKILL, and wait until the process is gone."""
        self._child.kill()
        self._child.stop(seconds=STOP_SECONDS)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._child.request_stop()

    def wait(self) -> None:
        """Wait until the process has exited with 0."""
        assert self._child.stop(seconds=STOP_SECONDS), self._child.failure().message

    def freeze(self) -> None:
        """Freeze the process, as on a host that is suspended or swaps."""
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process continue."""
        os.kill(self._child.pid, signal.SIGCONT)


def wrong_clock(skew_seconds: str) -> list[str]:
    """Make a wrapper that shifts the wall clock of its process, but not the monotonic clock."""
    library = distribution("libfaketime").locate_file("libfaketime/vendor/libfaketime/src/libfaketime.so.1")
    wrapper = ["env", f"FAKETIME={skew_seconds}", "FAKETIME_DONT_FAKE_MONOTONIC=1", f"LD_PRELOAD={library}"]
    shifted_time = subprocess.run([*wrapper, "date", "+%s"], capture_output=True, text=True, check=True).stdout  # noqa: S603  our own
    if abs(float(shifted_time) - time.time() - float(skew_seconds)) > _FORKING_SECONDS:
        pytest.skip("libfaketime was not built for this kind of machine")
    return wrapper


def full_disk() -> list[str]:
    """Make a wrapper whose process cannot write to any file."""
    return ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]


@contextmanager
def executor_process(
    environment: Mapping[str, str], log_file: Path, wrapper: Sequence[str] = ()
) -> Iterator[ExecutorProcess]:
    """Run an executor until the end of the block. When the test fails, its log is shown."""
    process = ExecutorProcess(environment, log_file, wrapper)
    try:
        yield process
    except (AssertionError, pytest.fail.Exception):
        sys.stderr.write(f"log of the executor:\n{log_file.read_text()}\n")
        raise
    finally:
        process.kill()
