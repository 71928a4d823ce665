"""Several messages for one delivery: duplicates, redeliveries, and messages after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.delivery import ATTEMPT_HOLD, MAX_DELIVERY_ATTEMPTS, DeliveryStatus
from gateway.domain.job import ended_event_id
from gateway.domain.messages import JobEndedEvent
from tests.webhooks.harness import KilledError
from tests.webhooks.receiver import Receiver, responds

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain.job import Job
    from tests.webhooks.harness import WebhookHarness


def request_redelivery(harness: WebhookHarness, job: Job) -> None:
    """Request a redelivery, as `POST /jobs/{id}/deliveries` does."""
    harness.wiring.deliveries.reopen(job.id)
    harness.wiring.webhook_queue.send(JobEndedEvent.of(job))


def call_after_each_post(
    harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch, callback: Callable[[], None]
) -> None:
    """Call a function in each attempt, between the response and the write."""
    post = harness.wiring.sender.post

    def post_and_call(*arguments: Any) -> Any:  # noqa: ANN401  like `post`
        result = post(*arguments)
        callback()
        return result

    monkeypatch.setattr(harness.wiring.sender, "post", post_and_call)


def test_a_duplicate_adds_no_attempts(harness: WebhookHarness) -> None:
    """A duplicate event is deleted while another message is responsible for the retries."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        harness.publish_event(job)
        first, second = harness.messages()
        assert not harness.process(first)
        assert harness.process(second)
        assert (len(receiver.received), harness.message_count()) == (1, 1)
        harness.make_visible(first)
        assert harness.process_all() == [True]
    assert harness.delivery(job).attempt_count == 2


def test_a_message_received_early_waits(harness: WebhookHarness) -> None:
    """SQS may return an invisible message: it is kept, as it is the only one, and processed when it is due."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        assert not harness.process(record)
        assert len(receiver.received) == 1
        assert harness.messages() == []
        harness.make_visible(record)
        assert harness.process_all() == [True]
    assert harness.delivery(job).status is DeliveryStatus.DELIVERED


def test_repeated_requests_cause_one_redelivery(harness: WebhookHarness) -> None:
    """A redelivery does not wait for the next retry, and replaces it."""
    with Receiver(responds(500)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        for _ in range(3):
            request_redelivery(harness, job)
        assert harness.delivery(job).status is DeliveryStatus.PENDING
        assert sorted(harness.process_all()) == [False, True, True]
        assert len(receiver.received) == 2
        assert harness.process(record)  # the message of the first delivery is deleted when it is received again
    assert (len(receiver.received), harness.message_count()) == (2, 1)
    assert harness.delivery(job).status is DeliveryStatus.RETRYING


@pytest.mark.parametrize("status", [204, 500])
def test_a_redelivery_requested_during_an_attempt_is_made(
    harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whether the running attempt succeeds or fails: the receiver may have lost the earlier webhook."""
    with Receiver(responds(status), responds(204)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        with monkeypatch.context() as patch:
            call_after_each_post(harness, patch, lambda: request_redelivery(harness, job))
            assert harness.process_all() == [status == 204]
        after_first = harness.delivery(job)
        assert (after_first.status, after_first.last_status_code) == (DeliveryStatus.PENDING, status)
        assert harness.process_all() == [True]
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = harness.delivery(job)
    assert (delivery.status, [a.status_code for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [status, 204])


def test_a_crash_in_the_last_attempt(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery is reported as failed, with the interrupted attempt. A redrive can still deliver it."""

    def crash() -> None:
        assert harness.delivery(job).visible_at(SYSTEM_CLOCK.now()).status is DeliveryStatus.RETRYING
        raise KilledError

    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        record["attributes"]["ApproximateReceiveCount"] = str(MAX_DELIVERY_ATTEMPTS)
        with monkeypatch.context() as patch:
            call_after_each_post(harness, patch, crash)
            with pytest.raises(KilledError):
                harness.process(record)
        harness.set_held_since(job, SYSTEM_CLOCK.now() - ATTEMPT_HOLD)
        seen = harness.delivery(job).visible_at(SYSTEM_CLOCK.now())
        assert seen.status is DeliveryStatus.FAILED
        (interrupted,) = seen.attempts
        assert "interrupted" in str(interrupted.error)
        harness.wiring.webhook_queue.send(JobEndedEvent.of(job))
        assert harness.process_all() == [True]
    delivery = harness.delivery(job)
    assert (delivery.status, [a.number for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [1, 2])
