"""Several messages for one delivery: duplicates, resends, and those that come after a crash at the end."""

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


def resend(harness: WebhookHarness, job: Job) -> None:
    """Do what `POST /jobs/{id}/deliveries` does."""
    harness.wiring.deliveries.reopen(job.id)
    harness.wiring.webhook_queue.send(JobEndedEvent.of(job))


def during_the_post(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen in the middle of each attempt from now on."""
    post = harness.wiring.sender.post

    def posting(*arguments: Any) -> Any:  # noqa: ANN401  whatever a POST takes and gives
        reply = post(*arguments)
        happens()
        return reply

    monkeypatch.setattr(harness.wiring.sender, "post", posting)


def test_a_duplicate_adds_no_tries(harness: WebhookHarness) -> None:
    """What the bus repeated is dropped while another message sees to the retries."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        harness.announce(job)
        first, second = harness.messages()
        assert not harness.process(first)
        assert harness.process(second)
        assert (len(receiver.received), harness.left()) == (1, 1)
        harness.let_time_pass(first)
        assert harness.pump() == [True]
    assert harness.delivery(job).attempt_count == 2


def test_a_message_that_comes_early_waits(harness: WebhookHarness) -> None:
    """SQS may hand out a hidden message: it is the only one that there is, and comes back when it is time."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        assert not harness.process(record)
        assert len(receiver.received) == 1
        assert harness.messages() == []
        harness.let_time_pass(record)
        assert harness.pump() == [True]
    assert harness.delivery(job).status is DeliveryStatus.DELIVERED


def test_whoever_asks_thrice_gets_one_more_series(harness: WebhookHarness) -> None:
    """A resend does not wait for the time of the next retry, and takes its place."""
    with Receiver(responds(500)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        for _ in range(3):
            resend(harness, job)
        assert harness.delivery(job).status is DeliveryStatus.PENDING
        assert sorted(harness.pump()) == [False, True, True]
        assert len(receiver.received) == 2
        assert harness.process(record)  # the first series ends when it comes again
    assert (len(receiver.received), harness.left()) == (2, 1)
    assert harness.delivery(job).status is DeliveryStatus.RETRYING


@pytest.mark.parametrize("status", [204, 500])
def test_a_resend_during_an_attempt_is_another_one(
    harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whether that one arrives or not: who asks for it to be sent again may have lost what came before."""
    with Receiver(responds(status), responds(204)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        with monkeypatch.context() as patch:
            during_the_post(harness, patch, lambda: resend(harness, job))
            assert harness.pump() == [status == 204]
        between = harness.delivery(job)
        assert (between.status, between.last_status_code) == (DeliveryStatus.PENDING, status)
        assert harness.pump() == [True]
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = harness.delivery(job)
    assert (delivery.status, [a.status_code for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [status, 204])


def test_a_crash_on_the_last_try(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue gives the message up, and the job says so, and how; redriven, it can still arrive."""

    def crash() -> None:
        assert harness.delivery(job).visible_at(SYSTEM_CLOCK.now()).status is DeliveryStatus.RETRYING
        raise KilledError

    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        record["attributes"]["ApproximateReceiveCount"] = str(MAX_DELIVERY_ATTEMPTS)
        with monkeypatch.context() as patch:
            during_the_post(harness, patch, crash)
            with pytest.raises(KilledError):
                harness.process(record)
        harness.let_go(job, SYSTEM_CLOCK.now() - ATTEMPT_HOLD)
        seen = harness.delivery(job).visible_at(SYSTEM_CLOCK.now())
        assert seen.status is DeliveryStatus.FAILED
        assert [attempt.error for attempt in seen.attempts] == [
            "The attempt was interrupted; whether the webhook arrived is not known."
        ]
        harness.wiring.webhook_queue.send(JobEndedEvent.of(job))
        assert harness.pump() == [True]
    delivery = harness.delivery(job)
    assert (delivery.status, [a.number for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [1, 2])
