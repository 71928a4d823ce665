"""The executor's log: JSON lines with an `action` and, inside a job, the job's context."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

from gateway.redacting_log import RedactingFormatter, allow_exception_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

# The level comes with the settings. Without one here Powertools would read the variable itself, and tell a wrong one.
logger = Logger(
    service="executor",
    level="INFO",
    log_uncaught_exceptions=False,
    location=None,
    logger_formatter=RedactingFormatter(),
)


def log_uncaught() -> None:
    """Have exceptions that end a thread, or the process, logged like all others: Python prints them in full."""

    def log(error: BaseException | None) -> None:
        logger.critical("not caught", action="not_caught", exc_info=error)

    sys.excepthook = lambda _type, error, _trace: log(error)
    threading.excepthook = lambda died: log(died.exc_value)


@contextmanager
def log_context(*, private: bool, **facts: str) -> Iterator[None]:
    """Put facts on every line that this thread logs inside the block, and for a private job keep exceptions' words."""
    with_before = logger.thread_safe_get_current_keys()
    logger.thread_safe_append_keys(**facts)
    allow_exception_messages(allowed=not private)
    try:
        yield
    finally:
        allow_exception_messages(allowed=False)
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(**with_before)
