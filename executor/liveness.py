"""Whether an executor's loop still goes round, for whoever watches its container.

`python -m executor.liveness` ends with 0 as long as it does, and else with 1 and one line that says why. It asks
neither AWS nor ComfyUI: an executor that waits for those is healthy, and nothing would get better by starting it anew.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

_TOUCH_SECONDS = 5.0
# The loop waits for AWS's answers, which takes half a minute at the very most.
_STUCK_SECONDS = 60.0


class LivenessFile:
    """Touches a file while the loop goes round. `path`: None where nobody looks."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._touch_at = 0.0

    def start(self) -> None:
        """Make the file. Raises OSError."""
        if self._path is not None:
            self._path.touch()

    def beat(self) -> None:
        """Tell that the loop goes round."""
        if self._path is not None and time.monotonic() >= self._touch_at:
            # A file that can no longer be touched grows old: that is how it is told.
            with suppress(OSError):
                self._path.touch()
            self._touch_at = time.monotonic() + _TOUCH_SECONDS


def problem(path: str | None) -> str | None:
    """Say why an executor that touches this file is not healthy; None when it is."""
    if not path:
        return "HEALTH_FILE: is not set"
    try:
        silent_seconds = time.time() - Path(path).stat().st_mtime
    except OSError as error:
        return f"HEALTH_FILE: {error.strerror}"
    return f"the loop stands still, for {silent_seconds:.0f} s" if silent_seconds > _STUCK_SECONDS else None


def main() -> int:
    """Look at the file that the environment names. Returns the process's exit code."""
    found = problem(os.environ.get("HEALTH_FILE"))
    if found:
        sys.stderr.write(f"executor: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
