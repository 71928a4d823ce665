"""The composition root of the functions that no request calls, and their log. Nothing that a caller sent is in it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

from functions import metrics
from functions.wiring.entry import wired_once
from functions.wiring.webhooks import WebhookWiring
from gateway.domain.job import Priority
from gateway.redacting_log import RedactingFormatter
from gateway.settings import BackgroundSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.wiring.api import Handler
    from gateway.ports import QueueDepth, SweepStore

# The level comes with the settings. Without one here Powertools would read the variable itself, and tell a wrong one.
# Whoever sent what is dealt with here, and in which mode, is not always known: no exception's own words are told.
logger = Logger(
    service="background",
    level="INFO",
    log_uncaught_exceptions=False,
    location=None,
    logger_formatter=RedactingFormatter(),
)


class EventWiring(WebhookWiring):
    """What these functions are made of."""

    settings: BackgroundSettings

    @cached_property
    def counts(self) -> QueueDepth:
        """How many messages there are."""
        from gateway.aws.sqs.queue_depth import SqsQueueDepth  # noqa: PLC0415  see BaseWiring

        urls = {
            Priority.HIGH: (self.settings.high_queue_url, self.settings.high_dead_letter_queue_url),
            Priority.NORMAL: (self.settings.normal_queue_url, self.settings.normal_dead_letter_queue_url),
            Priority.LOW: (self.settings.low_queue_url, self.settings.low_dead_letter_queue_url),
        }
        return SqsQueueDepth(self._clients.sqs, urls)

    @cached_property
    def sweeps(self) -> SweepStore:
        """What the sweeper knows."""
        from gateway.aws.dynamodb.sweep_store import DynamoSweepStore  # noqa: PLC0415  see BaseWiring

        return DynamoSweepStore(self._clients.dynamodb, self.settings.table_name)


def entry_point(make_handler: Callable[[EventWiring], Handler]) -> Handler:
    """Make the function that Lambda calls."""

    def wire(environment: Mapping[str, str]) -> Handler:
        settings = BackgroundSettings.from_environment(environment)
        logger.setLevel(settings.log_level)
        metrics.use_namespace(settings.metrics_namespace)
        return make_handler(EventWiring(settings))

    return wired_once(wire)
