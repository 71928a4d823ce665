"""Behaviour of deliveries: from the event on the bus to the receiver, through failures, crashes and duplicates."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from gateway.domain import instant
from gateway.domain.delivery import HELD_FOR, MAX_TRIES, DeliveryStatus
from gateway.domain.job import JobEnd, JobFailure, JobStatus, Output, ended_event_id
from gateway.domain.messages import JobEndedEvent, message_group
from gateway.errors import DeliveryNotDueError, GatewayError
from tests.component.api import aws_calls
from tests.component.samples import at_once
from tests.webhooks.courier import OUTPUT, SECRET, Courier, KilledError
from tests.webhooks.receiver import Receiver, answers, hangs, sends

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.domain.delivery import Delivery


def test_an_ended_job_is_told_to_its_receiver(courier: Courier) -> None:
    """The body says all of its end, signed, with a URL for each file; the log on the job says that it was delivered."""
    with Receiver(answers(204)) as receiver:
        job = courier.end(receiver.url, seed=7, metadata={"order": "ключ"})
        courier.announce(job)
        assert courier.pump() == [True]
    (request,) = receiver.received
    told = Webhook(SECRET).verify(request.body, request.headers)
    (output,) = told["result"]["outputs"]
    assert output["downloadUrl"].startswith("http")
    assert output["url"] == f"/outputs/{job.id}/a.png"
    assert told == {
        "event": "job.succeeded",
        "jobId": job.id,
        "status": "succeeded",
        "workflowId": "w",
        "result": {"outputs": [output]},
        "error": None,
        "timing": told["timing"],
        "metadata": {"order": "ключ"},
        "timestamp": told["timing"]["completedAt"],
    }
    assert request.headers["webhook-id"] == ended_event_id(job.id)
    delivery = courier.delivery(job)
    assert (delivery.status, delivery.count, delivery.last_status_code) == (DeliveryStatus.DELIVERED, 1, 204)
    assert courier.left() == 0


@pytest.mark.parametrize(
    "end",
    [
        JobEnd(
            status=JobStatus.FAILED,
            completed_at=instant.now(),
            error=JobFailure(code="COMFYUI_OOM", message="Too large.", retryable=False, recommendation="Lower width."),
        ),
        JobEnd(status=JobStatus.CANCELED, completed_at=instant.now()),
    ],
    ids=lambda end: end.status,
)
def test_other_ends_are_told_too(courier: Courier, end: JobEnd) -> None:
    """There is no result, and the error where there is one."""
    with Receiver(answers(200)) as receiver:
        courier.announce(courier.end(receiver.url, end))
        courier.pump()
    told = json.loads(receiver.received[0].body)
    assert (told["event"], told["status"], told["result"]) == (f"job.{end.status}", end.status, None)
    assert (told["error"] is None) == (end.error is None)
    if end.error:
        assert told["error"]["recommendation"] == "Lower width."


def test_jobs_without_a_callback_cost_nothing(courier: Courier) -> None:
    """Their events never reach the queue."""
    courier.announce(courier.end(None))
    assert courier.left() == 0


def test_a_delivery_takes_few_calls(courier: Courier) -> None:
    """Two when it works, and one more to have it tried again."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        for calls_expected in (
            ["dynamodb.UpdateItem"] * 2 + ["sqs.ChangeMessageVisibility"],
            ["dynamodb.UpdateItem"] * 2,
        ):
            with aws_calls(courier.clients) as calls:
                courier.deal_with(record)
            assert [call for call in calls if call != "sqs.DeleteMessage"] == calls_expected
            courier.make_due(job)


def test_a_failing_receiver_is_tried_again(courier: Courier) -> None:
    """Each try has the same id, and the message comes back later, not at once."""
    with Receiver(answers(500), sends(b""), answers(429, "Retry-After: 600"), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        for tries in range(1, 5):
            record["attributes"]["ApproximateReceiveCount"] = str(tries)
            assert courier.deal_with(record) is (tries == 4)
            assert courier.messages() == []
            courier.make_due(job)
    assert set(receiver.ids) == {ended_event_id(job.id)}
    delivery = courier.delivery(job)
    assert [attempt.status_code for attempt in delivery.attempts] == [500, None, 429, 200]
    assert [attempt.number for attempt in delivery.attempts] == [1, 2, 3, 4]
    pauses = [round((a.next_at - a.began_at).total_seconds()) for a in delivery.attempts if a.next_at]
    assert 9 <= pauses[0] <= 13
    assert 27 <= pauses[1] <= 37
    assert pauses[2] == pytest.approx(600, abs=3)
    assert courier.left() == 0


def test_what_failed_comes_back_by_itself(courier: Courier) -> None:
    """A message that is hidden for no time is received again, counted by the queue."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        assert not courier.deal_with(record)
        courier.let_time_pass(record)
        (again,) = courier.messages()
        assert again["attributes"]["ApproximateReceiveCount"] == "2"
        assert courier.deal_with(again)
    assert len(receiver.received) == 2


def test_attempts_are_metrics(courier: Courier, capsys: pytest.CaptureFixture[str]) -> None:
    """Each, and those that failed: their share is what an operator watches."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        courier.deal_with(record)
        courier.make_due(job)
        courier.deal_with(record)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["WebhookAttempts"], line["WebhookAttemptsFailed"]) for line in lines] == [(1, 1), (1, 0)]


def test_410_ends_it(courier: Courier) -> None:
    """The message is gone, and no dead letter either: there is nobody to redeliver it to."""
    with Receiver(answers(410)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        assert courier.pump() == [True]
    delivery = courier.delivery(job)
    assert (delivery.status, delivery.last_status_code) == (DeliveryStatus.FAILED, 410)
    assert delivery.attempts[0].error == "It answered 410: it wants no more of this webhook."
    assert courier.left() == 0


def test_after_the_last_try_it_is_a_dead_letter(courier: Courier) -> None:
    """The job says that it failed, and the message is kept; redelivered, it can still arrive."""
    with Receiver(*[answers(503)] * MAX_TRIES, answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        for tries in range(1, MAX_TRIES + 1):
            (record,) = courier.messages()
            assert record["attributes"]["ApproximateReceiveCount"] == str(tries)
            assert not courier.deal_with(record)
            if tries < MAX_TRIES:
                courier.let_time_pass(record)
        assert courier.delivery(job).status is DeliveryStatus.FAILED
        assert courier.delivery(job).attempts[-1].next_at is None
        assert courier.messages() == []
        (body,) = courier.dead()
        courier.clients.sqs.send_message(QueueUrl=courier.url, MessageBody=body)
        assert courier.pump() == [True]
    assert courier.delivery(job).status is DeliveryStatus.DELIVERED
    assert set(receiver.ids) == {ended_event_id(job.id)}


def test_duplicates_of_the_event_arrive_once(courier: Courier) -> None:
    """Whether the bus, the queue or the publisher repeated it: what is delivered is not sent again."""
    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        for _ in range(3):
            courier.announce(job)
        assert courier.pump() == [True] * 3
        courier.announce(job)
        assert courier.pump() == [True]
    assert len(receiver.received) == 1
    assert courier.left() == 0


def test_one_attempt_at_a_time(courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate that comes while an attempt is under way waits, and finds it delivered."""
    duplicates: list[bool] = []

    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        courier.announce(job)
        first, second = courier.messages()
        post = courier.background.sender.post

        def post_while_a_duplicate_comes(*arguments: Any) -> Any:  # noqa: ANN401  whatever a POST takes and gives
            duplicates.append(courier.deal_with(second))
            return post(*arguments)

        monkeypatch.setattr(courier.background.sender, "post", post_while_a_duplicate_comes)
        assert courier.deal_with(first)
        assert duplicates == [False]
        assert len(receiver.received) == 1
        assert courier.deal_with(second)
    assert len(receiver.received) == 1
    assert courier.delivery(job).count == 1


@pytest.mark.parametrize("broken", [KilledError(), GatewayError("no connection")], ids=["killed", "no record"])
def test_a_crash_after_the_post(courier: Courier, broken: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent again with the same id once the hold has run out: a receiver that knows the id sees it once."""

    def crash(_job_id: str, _delivery: Delivery) -> None:
        raise broken

    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        with monkeypatch.context() as patch:
            patch.setattr(courier.background.deliveries, "record", crash)
            if isinstance(broken, KilledError):
                with pytest.raises(KilledError):
                    courier.deal_with(record)
            else:
                assert not courier.deal_with(record)
        assert not courier.deal_with(record)  # too early: nobody knows yet that the first one has ended
        assert len(receiver.received) == 1
        courier.let_go(job, instant.now() - HELD_FOR)
        assert courier.deal_with(record)
    assert receiver.ids == [ended_event_id(job.id)] * 2
    delivery = courier.delivery(job)
    assert (delivery.status, delivery.count) == (DeliveryStatus.DELIVERED, 2)
    assert [attempt.error for attempt in delivery.attempts] == [
        "The attempt broke off; whether it arrived is not known.",
        None,
    ]
    assert courier.left() == 0


def test_a_crash_before_the_post_loses_nothing(courier: Courier, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table out of reach: the message comes back later."""

    def out_of_reach(_job_id: str, **_: object) -> None:
        raise GatewayError("no connection")

    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        (record,) = courier.messages()
        with monkeypatch.context() as patch:
            patch.setattr(courier.background.deliveries, "begin", out_of_reach)
            assert not courier.deal_with(record)
        assert courier.messages() == []
        assert courier.deal_with(record)
    assert receiver.ids == [ended_event_id(job.id)]


def test_an_attempt_that_was_overtaken_writes_nothing(courier: Courier) -> None:
    """Its function was frozen for longer than it may run, and another attempt has begun since."""
    job = courier.end("http://127.0.0.1:9/")
    deliveries = courier.background.deliveries
    slow = deliveries.begin(job.id, now=instant.now() - timedelta(minutes=5), last=False).delivery.begun(instant.now())
    deliveries.begin(job.id, now=instant.now(), last=False)
    with pytest.raises(GatewayError):
        deliveries.record(job.id, slow)
    assert courier.delivery(job).attempts == ()
    assert courier.delivery(job).count == 2


def test_a_refused_target_is_an_attempt_that_failed(aws: dict[str, str], aws_clients: Clients) -> None:
    """The rules are those of the moment of delivery, and the log says what is against it."""
    courier = Courier(aws, aws_clients, WEBHOOK_ALLOW_LOOPBACK="false")
    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        assert courier.pump() == [False]
    assert receiver.connections == 0
    (attempt,) = courier.delivery(job).attempts
    assert attempt.error == "Its host was not found, or has an address that is not public."


def test_without_a_secret_nothing_is_sent(aws: dict[str, str], aws_clients: Clients) -> None:
    """An unsigned webhook would teach receivers to take them."""
    courier = Courier(aws, aws_clients, WEBHOOK_SECRET="")
    with Receiver(answers(200)) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        assert courier.pump() == [False]
    assert receiver.connections == 0
    assert courier.delivery(job).status is DeliveryStatus.RETRYING


def test_a_large_body_is_cut(courier: Courier) -> None:
    """It stays below 20 kB, has the first outputs, and says how many there are and where."""
    outputs = tuple(
        Output(
            filename=f"{n:03}-{'ü' * 80}.png", key=f"outputs/x/{n}.png", size=n, sha256="ab" * 32, content_type="x/y"
        )
        for n in range(200)
    )
    with Receiver(answers(200)) as receiver:
        end = JobEnd(status=JobStatus.SUCCEEDED, completed_at=instant.now(), outputs=outputs)
        job = courier.end(receiver.url, end, metadata={"note": "x" * 8000})
        courier.announce(job)
        courier.pump()
    body = receiver.received[0].body
    assert 15_000 < len(body) <= 20_000
    result = json.loads(body)["result"]
    assert result["cut"] == {"total": 200, "url": f"/outputs/{job.id}"}
    assert [output["filename"] for output in result["outputs"]] == [
        o.filename for o in outputs[: len(result["outputs"])]
    ]


def test_a_slow_receiver_takes_no_longer_than_it_may(courier: Courier) -> None:
    """It is a failed attempt like any other."""
    with Receiver(hangs()) as receiver:
        job = courier.end(receiver.url)
        courier.announce(job)
        assert courier.pump() == [False]
    (attempt,) = courier.delivery(job).attempts
    assert attempt.error == "There was no complete answer within 0.5 s."
    assert attempt.duration_ms is not None
    assert 500 <= attempt.duration_ms < 2500


@pytest.mark.parametrize("body", ["", "{}", "hello", '{"version": 2}'])
def test_what_is_no_event_ends_as_a_dead_letter(courier: Courier, body: str) -> None:
    """It stays in the queue until that gives up on it."""
    record = {"messageId": "m", "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
    assert not courier.deal_with(record)


def test_the_event_of_a_job_that_is_gone(courier: Courier) -> None:
    """Records are kept for a time; after that there is nothing to tell."""
    job = courier.end("http://127.0.0.1:9/")
    courier.announce(job)
    courier.clients.dynamodb.delete_item(
        TableName=courier.background.settings.table_name, Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "JOB"}}
    )
    assert courier.pump() == [True]


def test_logs_name_no_url_and_no_secret(courier: Courier, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens are often in URLs. Each line bears the job's id and the correlation id."""
    with Receiver(answers(500), answers(200)) as receiver:
        job = courier.end(receiver.url, correlation_id="c-77")
        courier.announce(job)
        (record,) = courier.messages()
        courier.deal_with(record)
        courier.make_due(job)
        courier.deal_with(record)
    lines = [vars(record) for record in caplog.records]
    attempts = [line for line in lines if line.get("action") == "webhook_attempted"]
    assert [(line["job_id"], line["correlation_id"], line["status_code"]) for line in attempts] == [
        (job.id, "c-77", 500),
        (job.id, "c-77", 200),
    ]
    assert "t0ken" not in str(lines)
    assert SECRET not in str(lines)


def test_a_receiver_that_knows_ids_sees_each_end_once(courier: Courier) -> None:
    """Many jobs, each announced twice, to a receiver that fails now and then: all arrive, each under one id."""
    behaviours = [answers(200), answers(500), sends(b"HTTP/1.1 200"), answers(200), answers(302)]
    with Receiver(*behaviours * 20, answers(200)) as receiver:
        jobs = [courier.end(receiver.url) for _ in range(8)]
        for job in jobs * 2:
            courier.announce(job)
        while courier.left():
            for record in courier.messages():
                if not courier.deal_with(record):
                    courier.let_time_pass(record)
    assert {courier.delivery(job).status for job in jobs} == {DeliveryStatus.DELIVERED}
    assert set(receiver.ids) == {ended_event_id(job.id) for job in jobs}


def test_the_message_is_the_events_detail(courier: Courier) -> None:
    """What the rule puts into the queue is what a resend puts there."""
    job = courier.end("http://127.0.0.1:9/")
    courier.announce(job)
    courier.background.webhook_queue.send(JobEndedEvent.of(job))
    records = courier.messages()
    # The embedded AWS does not set the group that the rule says.
    assert {record["attributes"].get("MessageGroupId") for record in records} == {None, message_group(job.owner)}
    by_rule, by_hand = (JobEndedEvent.model_validate_json(record["body"]) for record in records)
    assert by_rule == by_hand == JobEndedEvent.of(job)
    assert by_rule.callback
    assert OUTPUT.key not in str(by_rule)


def test_of_many_at_once_one_begins(courier: Courier) -> None:
    """However many duplicates are received at the same moment, one attempt is made."""
    job = courier.end("http://127.0.0.1:9/")

    def begun(_number: int) -> bool:
        try:
            courier.background.deliveries.begin(job.id, now=instant.now(), last=False)
        except DeliveryNotDueError:
            return False
        return True

    assert at_once(8, begun).count(True) == 1
    assert courier.delivery(job).count == 1
