"""The event bus in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.messages import JobEndedEvent
    from testing.queues import InMemoryWebhookQueue


class InMemoryEventBus:
    """Implements the port `EventBus`. `published` has every event in order.

    Events with a callback go to `webhooks`, as the rule on the real bus puts them there.
    """

    def __init__(self, webhooks: InMemoryWebhookQueue | None = None) -> None:
        self.published: list[JobEndedEvent] = []
        self._webhooks = webhooks

    def publish(self, event: JobEndedEvent) -> None:
        """Publish."""
        self.published.append(event)
        if event.callback and self._webhooks is not None:
            self._webhooks.send(event)
