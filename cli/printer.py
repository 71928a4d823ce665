"""Prints what commands show: data on stdout, everything else on stderr.

On a terminal, data is a table. Elsewhere it is lines with tabs between values, as `cut` and `awk` read them. With
--json it is JSON. Rich is imported only where a terminal shows its output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from cli import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

PROGRAM = "comfyui-gateway"
SHORT_ID_CHARACTERS = 8


class Printer:
    """Prints the output of one command. `as_json`: data is printed as JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @property
    def on_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return sys.stdout.isatty()

    def json(self, value: object) -> None:
        """Print the result for --json."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not _is_utf8(), default=str) + "\n")

    def json_line(self, value: object) -> None:
        """Print one of several results for --json, in one line."""
        self.line(json.dumps(value, default=str))

    def line(self, text: str) -> None:
        """Print one line of data."""
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a line on stderr, for what is not data."""
        sys.stderr.write(wrapped_for(sys.stderr, printable(text)) + "\n")
        sys.stderr.flush()

    def warning(self, text: str) -> None:
        """Print a warning: one line on stderr that begins like an error."""
        self.note(f"{PROGRAM}: warning: {text}")

    def row(self, values: Sequence[str]) -> None:
        """Print values in one line, with tabs between them."""
        sys.stdout.write("\t".join(map(printable, values)) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, unbroken: Sequence[str] = ()) -> None:
        """Print rows. `unbroken`: columns whose values are never wrapped, so that an id can be copied."""
        if not rows:
            return
        if not self.on_terminal:
            for row in rows:
                self.row(row)
            return
        from rich.table import Table  # noqa: PLC0415  only a terminal needs it
        from rich.text import Text  # noqa: PLC0415  only a terminal needs it

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, no_wrap=column in unbroken, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(value)) for value in row))
        console().print(table)

    def fields(self, fields: Iterable[tuple[str, str]]) -> None:
        """Print the fields of one thing, one a line. Fields without a value are left out."""
        shown = [(name, value) for name, value in fields if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            if self.on_terminal:
                self.wrapped(value, first=f"{name:<{width}}  ", indent=width + 2)
            else:
                self.row((name, value))

    def wrapped(self, text: str, *, first: str, indent: int) -> None:
        """Print a text wrapped to the width of the terminal: `first` begins it, later lines are indented."""
        filled = textwrap.fill(
            printable(text),
            shutil.get_terminal_size().columns,
            initial_indent=printable(first),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        sys.stdout.write(filled + "\n")

    # In a pipe the next five return a value as the API has it, for scripts.

    def short_id(self, job_id: str) -> str:
        """Shorten a job id."""
        return job_id[:SHORT_ID_CHARACTERS] if self.on_terminal else job_id

    def age(self, timestamp: str) -> str:
        """Describe how long ago a timestamp was: `3m ago`."""
        time = self._time(timestamp)
        return times.age(time, datetime.now(UTC)) if time else timestamp

    def distance(self, timestamp: str) -> str:
        """Describe how far away a timestamp is, in the past or in the future: `in 3m`."""
        time = self._time(timestamp)
        return times.distance(time, datetime.now(UTC)) if time else timestamp

    def clock_time(self, timestamp: str) -> str:
        """Write the local time of day, with the date if it is not today's."""
        time = self._time(timestamp)
        return times.clock_time(time, datetime.now(UTC)) if time else timestamp

    def local_time(self, timestamp: str) -> str:
        """Write a timestamp in local time, with its distance from now."""
        time = self._time(timestamp)
        return f"{times.local_time(time)} ({times.distance(time, datetime.now(UTC))})" if time else timestamp

    def _time(self, timestamp: str) -> datetime | None:
        """Parse a timestamp for a person; None in a pipe, and for anything else."""
        if not self.on_terminal:
            return None
        try:
            return datetime.fromisoformat(timestamp).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def console(*, stderr: bool = False) -> Console:
    """Create a Rich console: without color if NO_COLOR is set, and where there is no terminal."""
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, color_system=None if plain else "auto")


def printable(text: str) -> str:
    """Make text from elsewhere safe to print: no line breaks, and nothing that a terminal would execute."""
    return "".join(c if c.isprintable() else " " if c in "\n\r\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def wrapped_for(stream: TextIO, text: str) -> str:
    """Wrap a line at words if the stream is a terminal: it would break them anywhere."""
    if not stream.isatty():
        return text
    columns = shutil.get_terminal_size().columns
    return textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
