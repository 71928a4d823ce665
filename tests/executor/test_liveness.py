"""The liveness check of an executor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from executor import liveness
from executor.liveness import LivenessFile, liveness_problem
from local.child_process import Child
from testing.clock import FakeClock
from testing.prompts import sleep_prompt
from testing.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from comfyui_simulator.server import SimulatorServer
    from testing.executor_harness import AwsExecutorHarness, InMemoryExecutorHarness

HOUR_SECONDS = 3600


def make_old(file: Path) -> None:
    """Set a file's modification time to an hour ago."""
    an_hour_ago = time.time() - HOUR_SECONDS
    os.utime(file, (an_hour_ago, an_hour_ago))


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """Run the health check command of the container."""
    command = [sys.executable, "-m", "executor.liveness"]
    environment = {**os.environ, "HEALTH_FILE": str(file)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own


def test_an_executor_is_healthy_while_its_loop_runs(aws_harness: AwsExecutorHarness, tmp_path: Path) -> None:
    """Also without a ComfyUI; a process that is stopped is not healthy until it continues."""
    file = tmp_path / "alive"
    environment = {**os.environ, **aws_harness.environment, "HEALTH_FILE": str(file)}
    environment |= {"COMFYUI_URL": "http://127.0.0.1:9"}
    executor = Child("executor", [sys.executable, "-m", "executor"], environment=environment, log_file=tmp_path / "log")
    try:
        executor.wait_until(file.exists, seconds=30)
        healthy = check(file)
        assert (healthy.returncode, healthy.stderr) == (0, "")
        os.kill(executor.pid, signal.SIGSTOP)
        make_old(file)
        stuck = check(file)
        assert stuck.returncode == 1
        assert " 3600 s" in stuck.stderr
        os.kill(executor.pid, signal.SIGCONT)
        wait_until(lambda: not liveness_problem(str(file)), "a healthy executor")
    finally:
        executor.stop(seconds=0)


def test_an_executor_that_drains_is_healthy(
    harness: InMemoryExecutorHarness, simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It receives no more messages, but must not be killed while it finishes its jobs."""
    monkeypatch.setattr(liveness, "_TOUCH_SECONDS", 0)
    file = tmp_path / "alive"
    with harness.run_executor(simulator.url, HEALTH_FILE=str(file), grace_seconds=30) as stop:
        job_id = harness.submit(sleep_prompt(1.0))
        wait_until(lambda: harness.job(job_id).attempt, "the claim")
        make_old(file)
        stop()
        assert harness.job(job_id).status.ended
    assert liveness_problem(str(file)) is None


def test_the_file_is_touched_every_few_seconds(tmp_path: Path) -> None:
    """Not in each turn of the loop."""
    file, clock = tmp_path / "alive", FakeClock()
    liveness_file = LivenessFile(str(file), clock)
    liveness_file.touch()
    make_old(file)
    liveness_file.touch()
    assert liveness_problem(str(file)) is not None
    clock.advance(liveness._TOUCH_SECONDS)
    liveness_file.touch()
    assert liveness_problem(str(file)) is None


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """So is a missing setting."""
    for path in (str(tmp_path / "alive"), None):
        assert "HEALTH_FILE" in str(liveness_problem(path))


def test_a_file_that_cannot_be_created_prevents_the_start(aws_harness: AwsExecutorHarness, tmp_path: Path) -> None:
    """The process ends with one line that names the setting."""
    environment = {**os.environ, **aws_harness.environment, "HEALTH_FILE": str(tmp_path / "missing" / "alive")}
    command = [sys.executable, "-m", "executor"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "HEALTH_FILE" in line
