"""Failed, interrupted and duplicate deliveries: each webhook arrives, always with the same id."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.delivery import ATTEMPT_HOLD, MAX_DELIVERY_ATTEMPTS, DeliveryStatus
from gateway.domain.job import ended_event_id
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import GatewayError
from tests.component.samples import run_concurrently
from tests.webhooks.harness import KilledError, WebhookHarness
from tests.webhooks.receiver import Receiver, responds, sends

if TYPE_CHECKING:
    from gateway.domain.delivery import Delivery


def test_a_failed_attempt_is_retried_with_a_backoff(harness: WebhookHarness) -> None:
    """Each attempt has the same id, and the message stays invisible until the retry."""
    with Receiver(responds(500), sends(b""), responds(429, "Retry-After: 600"), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        for attempt_number in range(1, 5):
            record["attributes"]["ApproximateReceiveCount"] = str(attempt_number)
            assert harness.process(record) is (attempt_number == 4)
            assert harness.messages() == []
            harness.make_due(job)
    assert set(receiver.ids) == {ended_event_id(job.id)}
    delivery = harness.delivery(job)
    assert [attempt.status_code for attempt in delivery.attempts] == [500, None, 429, 200]
    assert [attempt.number for attempt in delivery.attempts] == [1, 2, 3, 4]
    delays = [round((a.next_at - a.began_at).total_seconds()) for a in delivery.attempts if a.next_at]
    assert 9 <= delays[0] <= 13
    assert 27 <= delays[1] <= 37
    assert delays[2] == pytest.approx(600, abs=3)
    assert harness.message_count() == 0


def test_a_failed_message_is_received_again(harness: WebhookHarness) -> None:
    """The queue increases its receive count."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        harness.make_visible(record)
        (again,) = harness.messages()
        assert again["attributes"]["ApproximateReceiveCount"] == "2"
        assert harness.process(again)
    assert len(receiver.received) == 2


def test_status_410_is_not_retried(harness: WebhookHarness) -> None:
    """The message is deleted, and is no dead letter: the receiver no longer exists."""
    with Receiver(responds(410)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        assert harness.process_all() == [True]
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.last_status_code) == (DeliveryStatus.FAILED, 410)
    assert "410" in str(delivery.attempts[0].error)
    assert harness.message_count() == 0


def test_after_the_last_attempt_the_message_is_a_dead_letter(harness: WebhookHarness) -> None:
    """The delivery is `failed`. A redrive of the message can still deliver it."""
    with Receiver(*[responds(503)] * MAX_DELIVERY_ATTEMPTS, responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        for attempt_number in range(1, MAX_DELIVERY_ATTEMPTS + 1):
            (record,) = harness.messages()
            assert record["attributes"]["ApproximateReceiveCount"] == str(attempt_number)
            assert not harness.process(record)
            if attempt_number < MAX_DELIVERY_ATTEMPTS:
                harness.make_visible(record)
        assert harness.delivery(job).status is DeliveryStatus.FAILED
        assert harness.delivery(job).attempts[-1].next_at is None
        assert harness.messages() == []
        (body,) = harness.dead_letters()
        harness.clients.sqs.send_message(QueueUrl=harness.url, MessageBody=body)
        assert harness.process_all() == [True]
    assert harness.delivery(job).status is DeliveryStatus.DELIVERED
    assert set(receiver.ids) == {ended_event_id(job.id)}


def test_duplicate_events_are_delivered_once(harness: WebhookHarness) -> None:
    """Before and after the delivery."""
    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        for _ in range(3):
            harness.publish_event(job)
        assert harness.process_all() == [True] * 3
        harness.publish_event(job)
        assert harness.process_all() == [True]
    assert len(receiver.received) == 1
    assert harness.message_count() == 0


def test_one_attempt_at_a_time(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate received during an attempt waits, and is deleted after the delivery."""
    duplicates: list[bool] = []

    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        harness.publish_event(job)
        first, second = harness.messages()
        post = harness.wiring.sender.post

        def post_during_a_duplicate(*arguments: Any) -> Any:  # noqa: ANN401  like `post`
            duplicates.append(harness.process(second))
            return post(*arguments)

        monkeypatch.setattr(harness.wiring.sender, "post", post_during_a_duplicate)
        assert harness.process(first)
        assert duplicates == [False]
        assert len(receiver.received) == 1
        assert harness.process(second)
    assert len(receiver.received) == 1
    assert harness.delivery(job).attempt_count == 1


@pytest.mark.parametrize("broken", [KilledError(), GatewayError("no connection")], ids=["killed", "not recorded"])
def test_a_crash_after_the_request_repeats_it(
    harness: WebhookHarness, broken: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the hold expires, it is sent again with the same id, so that the receiver can recognize it."""

    def crash(_job_id: str, _delivery: Delivery) -> None:
        raise broken

    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        with monkeypatch.context() as patch:
            patch.setattr(harness.wiring.deliveries, "record", crash)
            if isinstance(broken, KilledError):
                with pytest.raises(KilledError):
                    harness.process(record)
            else:
                assert not harness.process(record)
        assert not harness.process(record)  # too early: the first attempt may still run
        assert len(receiver.received) == 1
        harness.set_held_since(job, SYSTEM_CLOCK.now() - ATTEMPT_HOLD)
        assert harness.process(record)
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.attempt_count) == (DeliveryStatus.DELIVERED, 2)
    interrupted, succeeded = delivery.attempts
    assert "interrupted" in str(interrupted.error)
    assert succeeded.error is None
    assert harness.message_count() == 0


def test_an_outage_before_the_request_is_retried(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is not reachable; the message is received again later."""

    def raise_error(_job_id: str, **_: object) -> None:
        raise GatewayError("no connection")

    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        with monkeypatch.context() as patch:
            patch.setattr(harness.wiring.deliveries, "begin", raise_error)
            assert not harness.process(record)
        assert harness.messages() == []
        assert harness.process(record)
    assert receiver.ids == [ended_event_id(job.id)]


def test_a_stale_attempt_writes_nothing(harness: WebhookHarness) -> None:
    """Its function was frozen beyond its time limit, and another attempt has started since."""
    job = harness.end_job("http://127.0.0.1:9/")
    deliveries = harness.wiring.deliveries
    slow = deliveries.begin(job.id, now=SYSTEM_CLOCK.now() - timedelta(minutes=5), last=False).delivery.begun(
        SYSTEM_CLOCK.now()
    )
    deliveries.begin(job.id, now=SYSTEM_CLOCK.now(), last=False)
    with pytest.raises(GatewayError):
        deliveries.record(job.id, slow)
    assert harness.delivery(job).attempts == ()
    assert harness.delivery(job).attempt_count == 2


def test_unreliable_receivers_get_each_webhook_under_one_id(harness: WebhookHarness) -> None:
    """Many jobs with two events each, and a receiver that often fails: all are delivered, each under one id."""
    behaviors = [responds(200), responds(500), sends(b"HTTP/1.1 200"), responds(200), responds(302)]
    with Receiver(*behaviors * 20, responds(200)) as receiver:
        jobs = [harness.end_job(receiver.url) for _ in range(8)]
        for job in jobs * 2:
            harness.publish_event(job)
        while harness.message_count():
            for record in harness.messages():
                if not harness.process(record):
                    harness.make_visible(record)
    assert {harness.delivery(job).status for job in jobs} == {DeliveryStatus.DELIVERED}
    assert set(receiver.ids) == {ended_event_id(job.id) for job in jobs}


def test_concurrent_duplicates_start_one_attempt(harness: WebhookHarness) -> None:
    """Of eight duplicates that are processed at the same time, one starts an attempt."""
    job = harness.end_job("http://127.0.0.1:9/")

    def begun(_number: int) -> bool:
        try:
            harness.wiring.deliveries.begin(job.id, now=SYSTEM_CLOCK.now(), last=False)
        except DeliveryNotDueError:
            return False
        return True

    assert run_concurrently(8, begun).count(True) == 1
    assert harness.delivery(job).attempt_count == 1
