"""Deliveries that fail, break off or come twice: each end arrives, and under one id."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.delivery import ATTEMPT_HOLD, MAX_DELIVERY_ATTEMPTS, DeliveryStatus
from gateway.domain.job import ended_event_id
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import GatewayError
from tests.component.samples import at_once
from tests.webhooks.harness import KilledError, WebhookHarness
from tests.webhooks.receiver import Receiver, responds, sends

if TYPE_CHECKING:
    from gateway.domain.delivery import Delivery


def test_a_failing_receiver_is_tried_again(harness: WebhookHarness) -> None:
    """Each try has the same id, and the message comes back later, not at once."""
    with Receiver(responds(500), sends(b""), responds(429, "Retry-After: 600"), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        for tries in range(1, 5):
            record["attributes"]["ApproximateReceiveCount"] = str(tries)
            assert harness.process(record) is (tries == 4)
            assert harness.messages() == []
            harness.make_due(job)
    assert set(receiver.ids) == {ended_event_id(job.id)}
    delivery = harness.delivery(job)
    assert [attempt.status_code for attempt in delivery.attempts] == [500, None, 429, 200]
    assert [attempt.number for attempt in delivery.attempts] == [1, 2, 3, 4]
    pauses = [round((a.next_at - a.began_at).total_seconds()) for a in delivery.attempts if a.next_at]
    assert 9 <= pauses[0] <= 13
    assert 27 <= pauses[1] <= 37
    assert pauses[2] == pytest.approx(600, abs=3)
    assert harness.left() == 0


def test_what_failed_comes_back_by_itself(harness: WebhookHarness) -> None:
    """A message that is hidden for no time is received again, counted by the queue."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        assert not harness.process(record)
        harness.let_time_pass(record)
        (again,) = harness.messages()
        assert again["attributes"]["ApproximateReceiveCount"] == "2"
        assert harness.process(again)
    assert len(receiver.received) == 2


def test_410_ends_it(harness: WebhookHarness) -> None:
    """The message is gone, and no dead letter either: there is nobody to redeliver it to."""
    with Receiver(responds(410)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        assert harness.pump() == [True]
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.last_status_code) == (DeliveryStatus.FAILED, 410)
    assert "410" in str(delivery.attempts[0].error)
    assert harness.left() == 0


def test_after_the_last_try_it_is_a_dead_letter(harness: WebhookHarness) -> None:
    """The job says that it failed, and the message is kept; redelivered, it can still arrive."""
    with Receiver(*[responds(503)] * MAX_DELIVERY_ATTEMPTS, responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        for tries in range(1, MAX_DELIVERY_ATTEMPTS + 1):
            (record,) = harness.messages()
            assert record["attributes"]["ApproximateReceiveCount"] == str(tries)
            assert not harness.process(record)
            if tries < MAX_DELIVERY_ATTEMPTS:
                harness.let_time_pass(record)
        assert harness.delivery(job).status is DeliveryStatus.FAILED
        assert harness.delivery(job).attempts[-1].next_at is None
        assert harness.messages() == []
        (body,) = harness.dead()
        harness.clients.sqs.send_message(QueueUrl=harness.url, MessageBody=body)
        assert harness.pump() == [True]
    assert harness.delivery(job).status is DeliveryStatus.DELIVERED
    assert set(receiver.ids) == {ended_event_id(job.id)}


def test_duplicates_of_the_event_arrive_once(harness: WebhookHarness) -> None:
    """Whether the bus, the queue or the publisher repeated it: what is delivered is not sent again."""
    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        for _ in range(3):
            harness.announce(job)
        assert harness.pump() == [True] * 3
        harness.announce(job)
        assert harness.pump() == [True]
    assert len(receiver.received) == 1
    assert harness.left() == 0


def test_one_attempt_at_a_time(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate that comes while an attempt is under way waits, and finds it delivered."""
    duplicates: list[bool] = []

    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        harness.announce(job)
        first, second = harness.messages()
        post = harness.wiring.sender.post

        def post_while_a_duplicate_comes(*arguments: Any) -> Any:  # noqa: ANN401  whatever a POST takes and gives
            duplicates.append(harness.process(second))
            return post(*arguments)

        monkeypatch.setattr(harness.wiring.sender, "post", post_while_a_duplicate_comes)
        assert harness.process(first)
        assert duplicates == [False]
        assert len(receiver.received) == 1
        assert harness.process(second)
    assert len(receiver.received) == 1
    assert harness.delivery(job).attempt_count == 1


@pytest.mark.parametrize("broken", [KilledError(), GatewayError("no connection")], ids=["killed", "no record"])
def test_a_crash_after_the_post(
    harness: WebhookHarness, broken: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent again with the same id once the hold has run out: a receiver that knows the id sees it once."""

    def crash(_job_id: str, _delivery: Delivery) -> None:
        raise broken

    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        with monkeypatch.context() as patch:
            patch.setattr(harness.wiring.deliveries, "record", crash)
            if isinstance(broken, KilledError):
                with pytest.raises(KilledError):
                    harness.process(record)
            else:
                assert not harness.process(record)
        assert not harness.process(record)  # too early: nobody knows yet that the first one has ended
        assert len(receiver.received) == 1
        harness.let_go(job, SYSTEM_CLOCK.now() - ATTEMPT_HOLD)
        assert harness.process(record)
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.attempt_count) == (DeliveryStatus.DELIVERED, 2)
    assert [attempt.error for attempt in delivery.attempts] == [
        "The attempt was interrupted; whether the webhook arrived is not known.",
        None,
    ]
    assert harness.left() == 0


def test_a_crash_before_the_post_loses_nothing(harness: WebhookHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table out of reach: the message comes back later."""

    def out_of_reach(_job_id: str, **_: object) -> None:
        raise GatewayError("no connection")

    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        with monkeypatch.context() as patch:
            patch.setattr(harness.wiring.deliveries, "begin", out_of_reach)
            assert not harness.process(record)
        assert harness.messages() == []
        assert harness.process(record)
    assert receiver.ids == [ended_event_id(job.id)]


def test_an_attempt_that_was_overtaken_writes_nothing(harness: WebhookHarness) -> None:
    """Its function was frozen for longer than it may run, and another attempt has begun since."""
    job = harness.end("http://127.0.0.1:9/")
    deliveries = harness.wiring.deliveries
    slow = deliveries.begin(job.id, now=SYSTEM_CLOCK.now() - timedelta(minutes=5), last=False).delivery.begun(
        SYSTEM_CLOCK.now()
    )
    deliveries.begin(job.id, now=SYSTEM_CLOCK.now(), last=False)
    with pytest.raises(GatewayError):
        deliveries.record(job.id, slow)
    assert harness.delivery(job).attempts == ()
    assert harness.delivery(job).attempt_count == 2


def test_a_receiver_that_knows_ids_sees_each_end_once(harness: WebhookHarness) -> None:
    """Many jobs, each announced twice, to a receiver that fails now and then: all arrive, each under one id."""
    behaviors = [responds(200), responds(500), sends(b"HTTP/1.1 200"), responds(200), responds(302)]
    with Receiver(*behaviors * 20, responds(200)) as receiver:
        jobs = [harness.end(receiver.url) for _ in range(8)]
        for job in jobs * 2:
            harness.announce(job)
        while harness.left():
            for record in harness.messages():
                if not harness.process(record):
                    harness.let_time_pass(record)
    assert {harness.delivery(job).status for job in jobs} == {DeliveryStatus.DELIVERED}
    assert set(receiver.ids) == {ended_event_id(job.id) for job in jobs}


def test_of_many_at_once_one_begins(harness: WebhookHarness) -> None:
    """However many duplicates are received at the same moment, one attempt is made."""
    job = harness.end("http://127.0.0.1:9/")

    def begun(_number: int) -> bool:
        try:
            harness.wiring.deliveries.begin(job.id, now=SYSTEM_CLOCK.now(), last=False)
        except DeliveryNotDueError:
            return False
        return True

    assert at_once(8, begun).count(True) == 1
    assert harness.delivery(job).attempt_count == 1
