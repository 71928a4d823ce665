"""Logs that say what broke and where, but not with which values.

An exception's message can hold whatever a job was given: boto3 prints the item that it refuses, pydantic the value.
So the message is written only where the work at hand is known to be no private job's. Otherwise what is left of an
exception is its type and its stack, file, line and function, and the same of what caused it.
"""

from __future__ import annotations

import copy
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from aws_lambda_powertools.logging.types import LogRecord

_MAX_FRAMES = 50  # of each exception, the innermost
_MAX_CAUSES = 10

# Of this thread. Work that says nothing of itself may be a private job's.
_told: ContextVar[bool] = ContextVar("exceptions_told", default=False)


def allow_exception_messages(*, allowed: bool) -> None:
    """Say whether exceptions' messages may be logged, from here on in this thread."""
    _told.set(allowed)


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' formatter, without the messages of exceptions that are not to be told.

    Times are written as the API writes them.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  Powertools' own
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S.%FZ", utc=True, **options)

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not _told.get():
            record = copy.copy(record)
            record.exc_info = None
            record.exception_name = type(error).__name__
            record.exception = stack_of(error)
        return super().format(record)

    def serialize(self, log: LogRecord) -> str:
        """Write a line's fields: its message only when it says more than its action. Each byte of a job's is billed."""
        fields = dict(log)
        if str(fields.get("message")).replace(" ", "_") == fields.get("action"):
            del fields["message"]
        return super().serialize(fields)


def stack_of(error: BaseException) -> str:
    """Write where an exception was raised, and likewise what caused it: types, files, lines and functions."""
    return "\ncaused by ".join("\n".join(_lines(each)) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Go from an exception to what caused it, as Python would show it."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _lines(error: BaseException) -> Iterator[str]:
    yield f"{type(error).__module__}.{type(error).__qualname__}"
    for frame, line in list(traceback.walk_tb(error.__traceback__))[-_MAX_FRAMES:]:
        yield f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_qualname}'
