"""Liveness check of an executor: the worker's loop touches a file, and a health check reads the file's age.

`python -m executor.liveness` exits with 0 while the loop runs, else with 1 and one line that says why. It checks
neither AWS nor ComfyUI: an executor that waits for those is healthy, and restarting it would not help.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.ports import Clock

_TOUCH_SECONDS = 5.0
# The loop waits for responses of AWS, which takes half a minute at the very most.
_MAX_AGE_SECONDS = 60.0


class LivenessFile:
    """A file that the worker's loop touches. `path`: None when there is no health check."""

    def __init__(self, path: str | None, clock: Clock) -> None:
        self._path = Path(path) if path else None
        self._clock = clock
        self._touch_at = 0.0

    def create(self) -> None:
        """Create the file. Raises OSError."""
        if self._path is not None:
            self._path.touch()

    def touch(self) -> None:
        """Touch the file, at most every few seconds."""
        if self._path is not None and self._clock.monotonic() >= self._touch_at:
            # A file that can no longer be touched gets old, which the health check reports.
            with suppress(OSError):
                self._path.touch()
            self._touch_at = self._clock.monotonic() + _TOUCH_SECONDS


def liveness_problem(path: str | None) -> str | None:
    """Return why the executor that touches this file is not healthy; None when it is."""
    if not path:
        return "HEALTH_FILE: is not set"
    try:
        age_seconds = time.time() - Path(path).stat().st_mtime
    except OSError as error:
        return f"HEALTH_FILE: {error.strerror}"
    if age_seconds > _MAX_AGE_SECONDS:
        return f"the worker loop has been stuck for {age_seconds:.0f} s"
    return None


def main() -> int:
    """Check the file that HEALTH_FILE names. Returns the process's exit code."""
    problem = liveness_problem(os.environ.get("HEALTH_FILE"))
    if problem:
        sys.stderr.write(f"executor: {problem}\n")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
