"""Logging of the executor: JSON lines with an `action` and, inside a job, the job's context."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

from gateway.redacting_log import RedactingFormatter, allow_exception_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

# The settings set the level later. Without one here, Powertools would read the variable itself, and warn about an
# invalid one.
logger = Logger(
    service="executor",
    level="INFO",
    log_uncaught_exceptions=False,
    location=None,
    logger_formatter=RedactingFormatter(),
)


def log_uncaught_exceptions() -> None:
    """Log exceptions that end a thread or the process like all others. Python would print them in full."""

    def log(error: BaseException | None) -> None:
        logger.critical("uncaught exception", action="uncaught_exception", exc_info=error)

    sys.excepthook = lambda _type, error, _trace: log(error)
    threading.excepthook = lambda args: log(args.exc_value)


@contextmanager
def log_context(*, private: bool, **fields: str) -> Iterator[None]:
    """Add fields to every line that this thread logs inside the block; for a private job, redact exception messages."""
    outer_fields = logger.thread_safe_get_current_keys()
    logger.thread_safe_append_keys(**fields)
    allow_exception_messages(allowed=not private)
    try:
        yield
    finally:
        allow_exception_messages(allowed=False)
        logger.thread_safe_clear_keys()
        logger.thread_safe_append_keys(**outer_fields)
