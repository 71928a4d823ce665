"""Several messages for one delivery: duplicates, resends, and those that come after a crash at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain import timestamps
from gateway.domain.delivery import ATTEMPT_HOLD, MAX_DELIVERY_ATTEMPTS, DeliveryStatus
from gateway.domain.job import ended_event_id
from gateway.domain.messages import JobEndedEvent
from tests.webhooks.courier import KilledError
from tests.webhooks.receiver import Receiver, answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.domain.job import Job
    from tests.webhooks.courier import Courier


def resend(courier: Courier, job: Job) -> None:
    """Do what `POST /jobs/{id}/deliveries` does."""
    courier.background.deliveries.reopen(job.id)
    courier.background.webhook_queue.send(JobEndedEvent.of(job))


def during_the_post(courier: Courier, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen in the middle of each attempt from now on."""
    post = courier.background.sender.post

    def posting(*arguments: Any) -> Any:  # noqa: ANN401  whatever a POST takes and gives
        reply = post(*arguments)
        happens()
        return reply

    monkeypatch.setattr(courier.background.sender, "post", posting)


def test_a_duplicate_adds_no_tries(courier: Courier) -> None:
    """What the bus repeated is dropped while another message sees to the retries."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        courier.announce(job)
        first, second = courier.messages()
        assert not courier.deal_with(first)
        assert courier.deal_with(second)
        assert (len(receiver.received), courier.left()) == (1, 1)
        courier.let_time_pass(first)
        assert courier.pump() == [True]
    assert courier.delivery(job).attempt_count == 2


def test_a_message_that_comes_early_waits(courier: Courier) -> None:
    """SQS may hand out a hidden message: it is the only one that there is, and comes back when it is time."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        assert not courier.deal_with(record)
        assert not courier.deal_with(record)
        assert len(receiver.received) == 1
        assert courier.messages() == []
        courier.let_time_pass(record)
        assert courier.pump() == [True]
    assert courier.delivery(job).status is DeliveryStatus.DELIVERED


def test_whoever_asks_thrice_gets_one_more_series(courier: Courier) -> None:
    """A resend does not wait for the time of the next retry, and takes its place."""
    with Receiver(answers(500)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        assert not courier.deal_with(record)
        for _ in range(3):
            resend(courier, job)
        assert courier.delivery(job).status is DeliveryStatus.PENDING
        assert sorted(courier.pump()) == [False, True, True]
        assert len(receiver.received) == 2
        assert courier.deal_with(record)  # the first series ends when it comes again
    assert (len(receiver.received), courier.left()) == (2, 1)
    assert courier.delivery(job).status is DeliveryStatus.RETRYING


@pytest.mark.parametrize("status", [204, 500])
def test_a_resend_during_an_attempt_is_another_one(
    courier: Courier, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Whether that one arrives or not: who asks for it to be sent again may have lost what came before."""
    with Receiver(answers(status), answers(204)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        with monkeypatch.context() as patch:
            during_the_post(courier, patch, lambda: resend(courier, job))
            assert courier.pump() == [status == 204]
        between = courier.delivery(job)
        assert (between.status, between.last_status_code) == (DeliveryStatus.PENDING, status)
        assert courier.pump() == [True]
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = courier.delivery(job)
    assert (delivery.status, [a.status_code for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [status, 204])


def test_a_crash_on_the_last_try(courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue gives the message up, and the job says so, and how; redriven, it can still arrive."""

    def crash() -> None:
        assert courier.delivery(job).visible_at(timestamps.now()).status is DeliveryStatus.RETRYING
        raise KilledError

    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        record["attributes"]["ApproximateReceiveCount"] = str(MAX_DELIVERY_ATTEMPTS)
        with monkeypatch.context() as patch:
            during_the_post(courier, patch, crash)
            with pytest.raises(KilledError):
                courier.deal_with(record)
        courier.let_go(job, timestamps.now() - ATTEMPT_HOLD)
        seen = courier.delivery(job).visible_at(timestamps.now())
        assert seen.status is DeliveryStatus.FAILED
        assert [attempt.error for attempt in seen.attempts] == [
            "The attempt was interrupted; whether the webhook arrived is not known."
        ]
        courier.background.webhook_queue.send(JobEndedEvent.of(job))
        assert courier.pump() == [True]
    delivery = courier.delivery(job)
    assert (delivery.status, [a.number for a in delivery.attempts]) == (DeliveryStatus.DELIVERED, [1, 2])
