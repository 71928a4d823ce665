"""Log exceptions without their messages, which can contain inputs of private jobs.

boto3's messages contain the rejected item, pydantic's the value. So a message is only logged where the current work is
known not to be a private job's. Otherwise an exception is logged as its type and stack (file, line and function), and
the same of its causes.
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

# Of this thread. By default, the work may be a private job's.
_messages_allowed: ContextVar[bool] = ContextVar("exception_messages_allowed", default=False)


def allow_exception_messages(*, allowed: bool) -> None:
    """Set whether exceptions' messages may be logged from now on in this thread."""
    _messages_allowed.set(allowed)


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' formatter, without exception messages unless they are allowed.

    Times have the same format as in the API.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  Powertools' own
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%S.%FZ", utc=True, **options)

    def format(self, record: logging.LogRecord) -> str:
        """Format a line."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not _messages_allowed.get():
            record = copy.copy(record)
            record.exc_info = None
            record.exception_name = type(error).__name__
            record.exception = stack_of(error)
        return super().format(record)

    def serialize(self, log: LogRecord) -> str:
        """Serialize a line, without a message that only repeats its action: each byte of a job's log is billed."""
        fields = dict(log)
        if str(fields.get("message")).replace(" ", "_") == fields.get("action"):
            del fields["message"]
        return super().serialize(fields)


def stack_of(error: BaseException) -> str:
    """Return where an exception and its causes were raised: types, files, lines and functions."""
    return "\ncaused by ".join("\n".join(_lines(each)) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, as Python shows them."""
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
