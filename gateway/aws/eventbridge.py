"""Publish "job ended" events on an EventBridge bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.aws.resources import EVENT_SOURCE, JOB_ENDED_DETAIL_TYPE
from gateway.errors import EventNotPublishedError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from gateway.domain.messages import JobEndedEvent


class EventBridgeBus:
    """Implements the port `EventBus`."""

    def __init__(self, client: EventBridgeClient, bus_name: str) -> None:
        self._client = client
        self._bus_name = bus_name

    def publish(self, event: JobEndedEvent) -> None:
        """Publish an event. PutEvents responds with 200 even when it rejects the event: only its count shows it."""
        response = self._client.put_events(
            Entries=[
                {
                    "EventBusName": self._bus_name,
                    "Source": EVENT_SOURCE,
                    "DetailType": JOB_ENDED_DETAIL_TYPE,
                    "Detail": event.model_dump_json(by_alias=True),
                }
            ]
        )
        if response["FailedEntryCount"]:
            raise EventNotPublishedError(response["Entries"][0].get("ErrorCode", "no error code"))
