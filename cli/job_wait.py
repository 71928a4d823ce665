"""Waiting for a job's end, with a look at how far it is."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from cli.exit_codes import CommandFailedError, ExitCode
from cli.http_client import RefusedError
from cli.printer import console, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from cli.api import GatewayApi
    from functions.rendering.job_json import JobJson, LogLineJson


Told = TypeVar("Told")

ENDS = ("succeeded", "failed", "canceled")
# An executor writes what it knows every 1.5 s. Two requests a look are 60 a minute, of the 100 that a key usually has.
_LOOK_SECONDS = 2
_LONG_JOB_SECONDS = 120
_LONG_LOOK_SECONDS = 10
_AWAY_SECONDS = 60  # that a gateway may not answer, as when it starts again


class Display(Protocol):
    """What shows how far a job is."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        """Show how it is now."""

    def say(self, text: str) -> None:
        """Tell something in a line of its own."""


def wait_for_end(api: GatewayApi, job_id: str, again: str) -> JobJson:
    """Wait for the end of a job. `again`: the command that waits again, told when the gateway stays away.

    Raises CommandFailedError.
    """
    try:
        with _display() as display:
            return _watched(api, job_id, display)
    except CommandFailedError as error:
        if error.code is not ExitCode.UNREACHABLE:
            raise
        raise CommandFailedError(f"{error.message}. Then wait again for job {job_id}: {again}", error.code) from None


def _watched(api: GatewayApi, job_id: str, display: Display) -> JobJson:
    began = time.monotonic()
    look_seconds = 0
    while True:
        job = _patiently(partial(api.job, job_id, wait_seconds=look_seconds), display)
        display.show(job, _patiently(partial(api.log, job_id), display)["logs"])
        if job["status"] in ENDS:
            return job
        is_long = time.monotonic() - began > _LONG_JOB_SECONDS
        look_seconds = _LONG_LOOK_SECONDS if is_long else _LOOK_SECONDS


def _patiently(ask: Callable[[], Told], display: Display) -> Told:
    """Ask again while the gateway wants fewer requests, and for a while when it is away. Raises CommandFailedError."""
    until = time.monotonic() + _AWAY_SECONDS
    said = False
    while True:
        try:
            return ask()
        except RefusedError as error:
            if error.code is not ExitCode.TRY_LATER or time.monotonic() > until:
                raise
            time.sleep(min(error.retry_seconds or _LOOK_SECONDS, _AWAY_SECONDS))
        except CommandFailedError as error:
            if error.code is not ExitCode.UNREACHABLE or time.monotonic() > until:
                raise
            if not said:
                display.say(f"The gateway does not answer; waiting for it for up to {_AWAY_SECONDS} s.")
                said = True
            time.sleep(_LOOK_SECONDS)


def raise_if_failed(job: JobJson) -> None:
    """Raise CommandFailedError for a job that did not succeed."""
    if job["status"] == "succeeded":
        return
    message = f"Job {job['jobId']} was canceled."
    if error := job["error"]:
        message = f"Job {job['jobId']} failed: {error['code']}: {error['message']}"
        message += f" {error['recommendation']}" if error.get("recommendation") else ""
    raise CommandFailedError(message, ExitCode.JOB_FAILED)


def _display() -> Display:
    if sys.stderr.isatty() and not console(stderr=True).is_dumb_terminal:
        return _Bar()
    return _Lines()


class _Lines:
    """A line for each thing that happens, on stderr."""

    def __init__(self) -> None:
        self._shown = 0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        for line in log[self._shown :]:
            self.say(line["message"])
        self._shown = len(log)
        said = f"{job['status']} {job['progress']}%"
        if said != self._said and job["status"] == "running" and job["progress"] is not None:
            self._said = said
            self.say(said)

    def say(self, text: str) -> None:
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


class _Bar:
    """A bar that moves, on a terminal."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
        from rich.table import Column  # noqa: PLC0415

        self._progress = Progress(
            TextColumn("{task.fields[status]}", markup=False),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn(
                "{task.fields[doing]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            console=console(stderr=True),
            expand=True,
        )
        self._task = self._progress.add_task("", total=None, status="…", doing="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, job: JobJson, log: Sequence[LogLineJson]) -> None:
        percent = 100 if job["status"] == "succeeded" else job["progress"]
        self._progress.update(
            self._task,
            total=None if percent is None else 100,
            completed=percent or 0,
            status=printable(job["status"]),
            doing=printable(log[-1]["message"]) if log else "",
        )

    def say(self, text: str) -> None:
        self._progress.console.print(printable(text))
