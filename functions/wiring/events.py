"""The composition root of the functions behind queues, streams and schedules."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from functions import metrics
from functions.logs import event_logger
from functions.wiring.base import BaseWiring
from functions.wiring.entry import EntryPoint
from gateway.domain.job import Priority
from gateway.settings import BackgroundSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.entry import Handler
    from gateway.ports import QueueDepth, SweepStore

    EventFunction = Callable[[dict[str, Any]], dict[str, Any] | None]


class EventWiring(BaseWiring):
    """The parts that these functions are made of; see BaseWiring."""

    settings: BackgroundSettings

    @cached_property
    def queue_depth(self) -> QueueDepth:
        """Counts the messages in the job queues."""
        from gateway.aws.sqs.queue_depth import SqsQueueDepth  # noqa: PLC0415  see BaseWiring

        urls = {
            Priority.HIGH: (self.settings.high_queue_url, self.settings.high_dead_letter_queue_url),
            Priority.NORMAL: (self.settings.normal_queue_url, self.settings.normal_dead_letter_queue_url),
            Priority.LOW: (self.settings.low_queue_url, self.settings.low_dead_letter_queue_url),
        }
        return SqsQueueDepth(self._clients.sqs, urls)

    @cached_property
    def sweeps(self) -> SweepStore:
        """The sweeper's state."""
        from gateway.aws.dynamodb.sweep_store import DynamoSweepStore  # noqa: PLC0415  see BaseWiring

        return DynamoSweepStore(self._clients.dynamodb, self.settings.table_name)


def entry_point(make: Callable[[EventWiring], EventFunction]) -> EntryPoint[EventWiring]:
    """Make the entry point of a function. `make` makes it from a wiring: it takes an event and may return a result."""

    def wire(environment: Mapping[str, str]) -> EventWiring:
        settings = BackgroundSettings.from_environment(environment)
        event_logger.setLevel(settings.log_level)
        metrics.use_namespace(settings.metrics_namespace)
        return EventWiring(settings)

    def make_handler(wiring: EventWiring) -> Handler:
        function = make(wiring)

        def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
            return function(event) or {}

        return handler

    return EntryPoint(wire, make_handler)
