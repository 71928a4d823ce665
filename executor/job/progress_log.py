"""What happens to a job, for its owner to read: kept on the job's record by the writes that happen anyway."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gateway.domain.job import LogLevel, LogLine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

# The record is written at every renewal of the lease, and each write pays for all of it.
MAX_LINES = 100
_MAX_MESSAGE_CHARACTERS = 200


class JobLog:
    """The lines of all attempts so far; safe to use from several threads. Nothing that a job was given is in them.

    `now` is the same for all executors, so that the lines of several are in order.
    """

    def __init__(self, earlier: Sequence[LogLine], now: Callable[[], datetime]) -> None:
        self._lines = list(earlier)
        self._now = now
        self._lock = threading.Lock()

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The lines, oldest first."""
        with self._lock:
            return tuple(self._lines)

    def add(self, message: str, *, level: LogLevel = LogLevel.INFO, node: str | None = None) -> None:
        """Add a line; when there are too many, the oldest but the first go."""
        line = LogLine(at=self._now(), level=level, message=message[:_MAX_MESSAGE_CHARACTERS], node=node)
        with self._lock:
            self._lines.append(line)
            if len(self._lines) > MAX_LINES:
                del self._lines[1]
