"""The ports EventBus and WebhookQueue, and the rule that connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.job import JobStatus, ended_event_id
from gateway.domain.messages import JobEndedEvent
from tests.component.samples import NOW

if TYPE_CHECKING:
    from tests.ports.conftest import Ports

EVENT = JobEndedEvent(
    event_id=ended_event_id("j"),
    job_id="j",
    owner="Ада \ufffe🦊",
    workflow_id="w",
    status=JobStatus.FAILED,
    correlation_id="c",
    completed_at=NOW,
    callback=True,
)


def received(ports: Ports) -> tuple[JobEndedEvent, str]:
    """Receive a message that must be there; return the event and the receipt handle."""
    message = ports.receive_webhook(5)
    assert message is not None
    body, receipt_handle = message
    return JobEndedEvent.model_validate_json(body), receipt_handle


def test_an_event_with_a_callback_becomes_a_webhook(ports: Ports) -> None:
    """Every time it is published; one without a callback does not."""
    ports.events.publish(EVENT.model_copy(update={"callback": False, "job_id": "other"}))
    event = EVENT.model_copy(update={"owner": "Ада"})
    for _ in range(2):
        ports.events.publish(event)
        assert received(ports)[0] == event
    assert ports.receive_webhook(0) is None


def test_a_webhook_can_be_sent_again(ports: Ports) -> None:
    """The message is the same as the rule's, whatever characters the owner has."""
    ports.webhooks.send(EVENT)
    assert received(ports)[0] == EVENT


def test_a_webhook_waits_for_its_visibility_timeout(ports: Ports) -> None:
    """Retries are messages that become visible again at a chosen time."""
    ports.webhooks.send(EVENT)
    _, receipt_handle = received(ports)
    ports.webhooks.change_visibility(receipt_handle, 3600)
    assert ports.receive_webhook(0) is None
    ports.webhooks.change_visibility(receipt_handle, 0)
    assert received(ports)[0] == EVENT
