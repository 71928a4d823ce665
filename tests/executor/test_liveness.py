"""The health check of an executor's container."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from executor import liveness
from executor.liveness import liveness_problem
from local.child_process import Child
from tests.executor.stage import Stage, sleeping, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from comfyui_simulator.server import SimulatorServer


def check(file: Path) -> subprocess.CompletedProcess[str]:
    """Run the command that the container runs."""
    command = [sys.executable, "-m", "executor.liveness"]
    environment = {**os.environ, "HEALTH_FILE": str(file)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own


def test_an_executor_is_healthy_as_long_as_its_loop_goes_round(stage: Stage, tmp_path: Path) -> None:
    """Without a ComfyUI as well; one that stands still is not, until it goes on."""
    file = tmp_path / "alive"
    environment = {**os.environ, **stage.environment, "HEALTH_FILE": str(file), "COMFYUI_URL": "http://127.0.0.1:9"}
    executor = Child("executor", [sys.executable, "-m", "executor"], environment=environment, log_file=tmp_path / "log")
    try:
        executor.wait_until(file.exists, seconds=30)
        assert (check(file).returncode, check(file).stderr) == (0, "")
        os.kill(executor.pid, signal.SIGSTOP)
        an_hour_ago = time.time() - 3600
        os.utime(file, (an_hour_ago, an_hour_ago))
        stuck = check(file)
        assert stuck.returncode == 1
        assert stuck.stderr.startswith("executor: the worker loop has been stuck for 3")
        os.kill(executor.pid, signal.SIGCONT)
        wait_until(lambda: not liveness_problem(str(file)), "healthy again")
    finally:
        executor.stop(seconds=0)


def test_an_executor_that_finishes_its_work_is_healthy(
    stage: Stage, simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes nothing any more, but nobody should kill it."""
    monkeypatch.setattr(liveness, "_TOUCH_SECONDS", 0)
    file = tmp_path / "alive"
    with stage.executor(simulator.url, HEALTH_FILE=str(file), grace_seconds=5) as stop:
        job_id = stage.accept(sleeping(3.0))
        wait_until(lambda: stage.job(job_id).attempt, "the claim")
        stop()
        assert stage.job(job_id).status.ended
        assert time.time() - file.stat().st_mtime < 2.5


def test_a_file_that_is_not_there_is_no_good_sign(tmp_path: Path) -> None:
    """Nor is it one that nobody named it."""
    assert liveness_problem(str(tmp_path / "alive")) == "HEALTH_FILE: No such file or directory"
    assert liveness_problem(None) == "HEALTH_FILE: is not set"


def test_a_file_that_cannot_be_made_stops_the_start(stage: Stage, tmp_path: Path) -> None:
    """It says so in one line."""
    environment = {**os.environ, **stage.environment, "HEALTH_FILE": str(tmp_path / "nowhere" / "alive")}
    command = [sys.executable, "-m", "executor"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own
    assert run.returncode == 1
    assert run.stderr == "executor: HEALTH_FILE: cannot be written: No such file or directory\n"
