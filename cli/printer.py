"""What commands show: data on stdout, everything else on stderr.

On a terminal data is a table, elsewhere lines with tabs between values, as `cut` and `awk` read them; with --json it is
JSON. Nothing here starts Rich where nobody would see it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console


class Printer:
    """Where a command shows things. `as_json`: data is JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def data(self, value: object) -> None:
        """Show the answer to --json."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not _utf8(), default=str) + "\n")

    def record(self, value: object) -> None:
        """Show one of several answers to --json, in one line."""
        self.line(json.dumps(value, default=str))

    def line(self, text: str) -> None:
        """Show one line of data."""
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Tell what is no data."""
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    def row(self, values: Sequence[str]) -> None:
        """Show values in one line, with tabs between."""
        sys.stdout.write("\t".join(map(printable, values)) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ()) -> None:
        """Show rows. `whole`: columns whose values are never broken, as ids are to be copied."""
        if not rows:
            return
        if not sys.stdout.isatty():
            for row in rows:
                self.row(row)
            return
        from rich.table import Table  # noqa: PLC0415  only a terminal needs it
        from rich.text import Text  # noqa: PLC0415  likewise

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, no_wrap=column in whole, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(value)) for value in row))
        console().print(table)

    def moment(self, text: str) -> str:
        """Write an instant: for people, seconds are enough, and the day when it is not today; else as it came."""
        try:
            moment = datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            return text
        if not sys.stdout.isatty():
            return text
        return moment.strftime("%H:%M:%SZ" if moment.date() == datetime.now(UTC).date() else "%Y-%m-%d %H:%MZ")

    def fields(self, fields: Iterable[tuple[str, str]]) -> None:
        """Show the fields of one thing, one a line; those without a value are left out."""
        shown = [(name, value) for name, value in fields if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            if sys.stdout.isatty():
                self.wrapped(value, first=f"{name:<{width}}  ", indent=width + 2)
            else:
                self.row((name, value))

    def wrapped(self, text: str, *, first: str, indent: int) -> None:
        """Show a text in lines as long as the terminal is wide; `first` begins it, the others are indented."""
        columns = shutil.get_terminal_size().columns
        filled = textwrap.fill(
            printable(text),
            columns,
            initial_indent=printable(first),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        sys.stdout.write(filled + "\n")


def console(*, stderr: bool = False) -> Console:
    """Make a console of Rich's: plain with NO_COLOR, and where there is no terminal."""
    from rich.console import Console  # noqa: PLC0415  only a terminal needs it

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, color_system=None if plain else "auto")


def printable(text: str) -> str:
    """Take what would do something to a terminal, or begin a line, out of a text that comes from elsewhere."""
    return "".join(c if c.isprintable() else " " if c in "\n\r\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
