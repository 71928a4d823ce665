"""Wait for a condition with a timeout."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT_SECONDS = 30
_POLL_SECONDS = 0.04  # a condition is mostly a call to AWS: polling more often costs half of the CPU time of the tests


def wait_until(condition: Callable[[], object], description: str, seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait until a condition is true. Raises AssertionError with the description on timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {description}")
        time.sleep(_POLL_SECONDS)
