"""Shows the progress of a job on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

from cli.printer import console, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import RenderableType

    from functions.rendering.job_json import JobJson, LogLineJson

# As the executor logs them.
_STEP = re.compile(r"Step (?P<step>[0-9]+) of (?P<steps>[0-9]+)\b")
_NODE = re.compile(r'node \S+ (?:"(?P<title>.+)" )?\((?P<type>.+)\)')
_SPEED_SECONDS = 120.0  # the time left is estimated from the progress in this period
_MINUTE = 60
_FREE_COLUMNS = 2


class ProgressDisplay(Protocol):
    """Shows the progress of one job."""

    def __enter__(self) -> Self:
        """Start showing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        """Show the job's current state."""

    def note(self, text: str) -> None:
        """Show a text on a separate line."""


def progress_display(eta_seconds: int | None) -> ProgressDisplay:
    """Return the display that fits stderr. `eta_seconds`: the gateway's estimate, until there is progress."""
    if sys.stderr.isatty() and not console(stderr=True).is_dumb_terminal:
        return _Bar(eta_seconds)
    return _Lines()


class _Lines:
    """A line for each event of the job."""

    def __init__(self) -> None:
        self._shown_lines = 0
        self._shown_progress = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        for line in log[self._shown_lines :]:
            self.note(line["message"])
        self._shown_lines = len(log)
        progress = f"{job['status']} {job['progress']}%"
        if progress != self._shown_progress and job["status"] == "running" and job["progress"] is not None:
            self._shown_progress = progress
            self.note(progress)

    def note(self, text: str) -> None:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


class _Bar:
    """A bar over the width of the terminal: node or status, step, percent, and the time left."""

    def __init__(self, eta_seconds: int | None) -> None:
        from rich.live import Live  # noqa: PLC0415  terminals only
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415  terminals only
        from rich.table import Column  # noqa: PLC0415  terminals only

        self._console = console(stderr=True)
        self._started_at = time.monotonic()
        self._eta_seconds = eta_seconds
        self._progress = Progress(
            TextColumn(
                "{task.fields[activity]}",
                markup=False,
                table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis"),
            ),
            BarColumn(bar_width=None, table_column=Column(ratio=3)),
            TextColumn("{task.fields[step]}", markup=False, table_column=Column(no_wrap=True)),
            TaskProgressColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[time]}", markup=False, table_column=Column(no_wrap=True)),
            console=self._console,
            expand=True,
            speed_estimate_period=_SPEED_SECONDS,
        )
        self._task = self._progress.add_task("", total=None, activity="…", step="", time="")
        self._live = Live(console=self._console, get_renderable=self._renderable, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        percent = 100 if job["status"] == "succeeded" else job["progress"]
        if percent is None and job["status"] in ("failed", "canceled"):  # the bar stays where it was
            percent = round(self._progress.tasks[self._task].completed)
        activity, step = _activity(job, log)
        self._progress.update(
            self._task,
            total=None if percent is None else 100,
            completed=percent or 0,
            activity=printable(activity),
            step=step,
        )
        self._progress.update(self._task, time=self._time(job))

    def note(self, text: str) -> None:
        self._console.print(printable(text))

    def _renderable(self) -> RenderableType:
        """Leave columns free, in which the terminal shows `^C`: a line that wraps is not erased."""
        from rich.constrain import Constrain  # noqa: PLC0415  terminals only

        return Constrain(self._progress.get_renderable(), self._console.width - _FREE_COLUMNS)

    def _time(self, job: JobJson) -> str:
        """Describe the time left, from the progress over time or else from the estimate; else the time so far."""
        elapsed = time.monotonic() - self._started_at
        left = None
        if job["status"] in ("queued", "running"):
            left = self._progress.tasks[self._task].time_remaining
            if left is None and self._eta_seconds is not None:
                left = self._eta_seconds - elapsed
        return f"{_minutes(left)} left" if left is not None and left > 0 else f"{_minutes(elapsed)} elapsed"


def _activity(job: JobJson, log: Sequence[LogLineJson]) -> tuple[str, str]:
    """Describe what a job does, and at which step it is: the node's title or type, else the status, and `9/20`."""
    if job["status"] != "running" or not log:
        return job["status"], ""
    message = log[-1]["message"].rstrip(".")
    node, step = _NODE.search(message), _STEP.match(message)
    return (node["title"] or node["type"]) if node else "running", f"{step['step']}/{step['steps']}" if step else ""


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), _MINUTE)
    return f"{minutes}:{rest:02}"
