"""Write a job's log, which its owner reads at GET /jobs/{id}/logs.

The lines are stored with the job by writes that happen anyway: lease renewals and the terminal write.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from gateway.domain.job import LogLevel, LogLine
from gateway.limits import MAX_LOG_LINES, MAX_LOG_MESSAGE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports import Clock


class JobLogWriter:
    """Collects the log lines of all attempts so far; safe to use from several threads.

    Callers must not put anything that the job was given into a message. `clock` is AWS time, so that the lines of
    several executors are in order.
    """

    def __init__(self, earlier: Sequence[LogLine], clock: Clock) -> None:
        self._lines = list(earlier)
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The lines, oldest first."""
        with self._lock:
            return tuple(self._lines)

    def add(self, message: str, *, level: LogLevel = LogLevel.INFO, node: str | None = None) -> None:
        """Add a line. When there are too many lines, the oldest after the first one is dropped."""
        line = LogLine(at=self._clock.now(), level=level, message=message[:MAX_LOG_MESSAGE_CHARACTERS], node=node)
        with self._lock:
            self._lines.append(line)
            if len(self._lines) > MAX_LOG_LINES:
                del self._lines[1]
