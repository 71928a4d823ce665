"""The loggers of all functions: structured JSON lines, without the exception messages of private jobs.

There is one for functions that serve requests and one for functions behind queues, streams and schedules: their lines
differ in `service`.
"""

from __future__ import annotations

from aws_lambda_powertools.logging import Logger

from gateway.redacting_log import RedactingFormatter


def _logger(service: str) -> Logger:
    # The level comes with the settings. Without a level here Powertools would read the environment itself, and warn
    # about a wrong value there.
    return Logger(
        service=service,
        level="INFO",
        log_uncaught_exceptions=False,
        location=None,
        logger_formatter=RedactingFormatter(),
    )


api_logger = _logger("api")
# Behind a queue or a stream it is not always known whose job it is and in which mode it was accepted, so exception
# messages are never logged there.
event_logger = _logger("background")
