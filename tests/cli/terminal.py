"""The command in a process of its own, with or without a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING, Self

from tests.local.command import restore_signals, start_in_terminal, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 30
COMMAND = [sys.executable, "-m", "cli"]


class Terminal:
    """A command that runs in a terminal. `text`: all that it has shown so far."""

    def __init__(self, *arguments: str, columns: int = 80, **variables: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.text = ""
        self._ours = ours
        self.process = subprocess.Popen(  # noqa: S603  the command under test
            [*COMMAND, *arguments],
            env={**environment, "TERM": "xterm-256color", **variables},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=start_in_terminal,  # noqa: PLW1509  two system calls
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)

    def see(self, text: str) -> None:
        """Wait until it shows something."""
        wait_until(lambda: text in self.text or self.process.poll() is not None, SECONDS)
        assert text in self.text, self.text

    def type(self, text: str) -> None:
        """Type something, as a person does."""
        os.write(self._ours, text.encode())

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(timeout=SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # its last process has ended
                return
            self.text += piece.decode(errors="replace")


def interrupted(until: str | Callable[[str], bool], output: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Run a command without a terminal until it says something, or what it said is enough, then do what Ctrl-C does."""
    enough = until if callable(until) else lambda said: until in said
    with output.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603  the command under test
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            preexec_fn=restore_signals,  # noqa: PLW1509  one system call
        )
    wait_until(lambda: enough(output.read_text()) or process.poll() is not None, SECONDS)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=SECONDS)
    return process
