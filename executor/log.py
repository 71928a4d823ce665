"""The executor's log: JSON lines with an `action` and, inside a job, the job's context."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

if TYPE_CHECKING:
    from collections.abc import Iterator

# The level comes with the settings. Without one here Powertools would read the variable itself, and tell a wrong one.
logger = Logger(service="executor", level="INFO", log_uncaught_exceptions=False)


@contextmanager
def log_context(**facts: str) -> Iterator[None]:
    """Put facts on every line that this thread logs inside the block."""
    with_before = logger.thread_safe_get_current_keys()
    logger.thread_safe_append_keys(**facts)
    try:
        yield
    finally:
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(**with_before)
