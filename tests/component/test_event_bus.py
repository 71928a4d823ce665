"""The event bus on EventBridge. What the port promises is in tests/ports."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from gateway.aws.eventbridge import EventBridgeBus
from gateway.aws.resources import EVENT_SOURCE, JOB_ENDED_DETAIL_TYPE
from gateway.domain.job import JobStatus, ended_event_id
from gateway.domain.messages import JobEndedEvent
from gateway.errors import EventNotPublishedError
from tests.component.samples import NOW

if TYPE_CHECKING:
    from gateway.aws.clients import Clients

EVENT = JobEndedEvent(
    event_id=ended_event_id("j"),
    job_id="j",
    owner="Ада",
    workflow_id="w",
    status=JobStatus.FAILED,
    correlation_id="c",
    completed_at=NOW,
)


def subscribe(aws: dict[str, str], clients: Clients) -> str:
    """Create a rule that puts job-ended events into a queue; return the queue's URL."""
    name = f"{aws['EVENT_BUS_NAME']}-{uuid.uuid4().hex[:6]}"
    url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes: Any = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {"source": [EVENT_SOURCE], "detail-type": [JOB_ENDED_DETAIL_TYPE]}
    clients.events.put_rule(Name=name, EventBusName=aws["EVENT_BUS_NAME"], EventPattern=json.dumps(pattern))
    clients.events.put_targets(
        Rule=name, EventBusName=aws["EVENT_BUS_NAME"], Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}]
    )
    return url


def test_a_rule_receives_the_event(aws: dict[str, str], aws_clients: Clients) -> None:
    """A subscriber gets the event as published; published again, it has the same id."""
    url = subscribe(aws, aws_clients)
    bus = EventBridgeBus(aws_clients.events, aws["EVENT_BUS_NAME"])
    for _ in range(2):
        bus.publish(EVENT)
        (message,) = aws_clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        detail = json.loads(message["Body"])["detail"]
        assert JobEndedEvent.model_validate(detail) == EVENT
        assert detail["eventId"] == EVENT.event_id
        aws_clients.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_a_rejected_event_is_an_error() -> None:
    """PutEvents responds with 200 even then: only its count of failures shows it."""

    class FullBus:
        def put_events(self, **_request: object) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    with pytest.raises(EventNotPublishedError, match="InternalFailure"):
        EventBridgeBus(FullBus(), "events").publish(EVENT)  # type: ignore[arg-type]  # a fake of the one call made
