"""Opens outputs with the default application of the platform: `xdg-open`, `open` or `start`."""

from __future__ import annotations

import mimetypes
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cli.printer import Printer

_MAX_OPENED = 8
_OPENER_SECONDS = 1
_MEDIA = ("image", "video", "audio")  # other kinds of files could be programs, which would be run


def open_files(printer: Printer, files: Sequence[Path]) -> None:
    """Open images, videos and audio files. Print why one is not opened."""
    for file in files[:_MAX_OPENED]:
        kind = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
        if kind in _MEDIA:
            _open(printer, str(file.absolute()))
        else:
            printer.note(f"Not opened, since it is not an image, video or audio file: {file}")


def open_urls(printer: Printer, urls: Sequence[str]) -> None:
    """Open web addresses. Print why one is not opened."""
    for url in urls[:_MAX_OPENED]:
        if urlsplit(url).scheme in ("http", "https"):
            _open(printer, url)


def _open(printer: Printer, target: str) -> None:
    if not printer.on_terminal:
        printer.note("Not opened: stdout is not a terminal.")
        return
    if sys.platform == "win32":
        os.startfile(target)  # noqa: S606  the type of the file is checked
        return
    program = "open" if sys.platform == "darwin" else "xdg-open"
    if shutil.which(program) is None:
        printer.note(f"Not opened: {program} is not installed.")
        return
    process = subprocess.Popen(  # noqa: S603  the platform's own opener, without a shell
        [program, target], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with suppress(subprocess.TimeoutExpired):  # some run until the user closes the window
        if code := process.wait(timeout=_OPENER_SECONDS):
            printer.note(f"Not opened: {program} exited with {code} for {target}")
