from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from local.child_process import Child
from local.restarts import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Restarts
from tests.local.command import wait_until

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def exit_of(child: Child) -> None:
    """Wait until a child has exited."""
    wait_until(lambda: child.exit_code is not None, 10)


def test_delays_grow_until_a_process_runs_well(tmp_path: Path) -> None:
    """A process that exits at once is restarted later and later, for ever; one that ran well, soon."""
    child = Child("worker", [sys.executable, "-c", "exit(3)"], environment={}, log_file=tmp_path / "log")
    lines: list[str] = []
    clock = Clock()
    restarts = Restarts([child], lines.append, clock)
    delays = []
    for _ in range(9):
        exit_of(child)
        restarts.check()
        died_at = clock.now
        while "started again" not in lines[-1]:
            clock.now += 0.25
            restarts.check()
        delays.append(clock.now - died_at)
    assert delays[0] == FIRST_DELAY_SECONDS
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY_SECONDS
    assert "exited with code 3" in lines[0]
    assert str(tmp_path / "log") in lines[0]
    exit_of(child)
    clock.now += 3600
    restarts.check()
    clock.now += FIRST_DELAY_SECONDS
    restarts.check()
    assert "started again" in lines[-1]
    child.stop(seconds=5)
    assert (tmp_path / "log").read_text().count("exited with code 3; started again") == 10


def test_a_running_process_is_left_alone(tmp_path: Path) -> None:
    """Nothing is reported."""
    child = Child("worker", ["sleep", "60"], environment={}, log_file=tmp_path / "log")
    lines: list[str] = []
    clock = Clock()
    restarts = Restarts([child], lines.append, clock)
    clock.now = 1000
    restarts.check()
    assert (lines, child.exit_code) == ([], None)
    child.kill()
    exit_of(child)
