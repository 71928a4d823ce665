"""Restart the processes of local mode that exit by themselves, with growing delays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from local.child_process import Child

FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0
_WELL_AFTER_SECONDS = 60.0  # of running, after which an exit counts as the first again
_MANY_EXITS = 4


@dataclass(slots=True)
class _State:
    started_at: float
    exits: int = 0  # since it last ran well
    restart_at: float | None = None  # None while it runs


class Restarts:
    """Watches children. `report` gets a line for the person at the terminal; `clock` is monotonic, in seconds."""

    def __init__(self, children: Sequence[Child], report: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.restarted: set[str] = set()  # names
        self._states = {child.name: _State(clock()) for child in children}
        self._children = children
        self._report = report
        self._clock = clock

    def check(self) -> None:
        """Restart what has exited, once its delay is over. Call it often."""
        for child in self._children:
            self._check(child, self._states[child.name])

    def _check(self, child: Child, state: _State) -> None:
        now = self._clock()
        if state.restart_at is not None:
            if now >= state.restart_at:
                child.restart()
                self.restarted.add(child.name)
                state.started_at, state.restart_at = now, None
                self._report(f"The {child.name} process was started again.")
        elif child.exit_code is not None:
            state.exits = 1 if now - state.started_at >= _WELL_AFTER_SECONDS else state.exits + 1
            delay = min(FIRST_DELAY_SECONDS * 2 ** (state.exits - 1), MAX_DELAY_SECONDS)
            state.restart_at = now + delay
            advice = " It keeps exiting: the end of its log says why." if state.exits >= _MANY_EXITS else ""
            self._report(
                f"The {child.name} process {child.exit_reason}; restarting it in {delay:g} s.{advice} "
                f"Log: {child.log_file}"
            )
