"""Behavior of deliveries: from the event on the bus to the receiver, and what is told, logged and measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.job import JobEnd, JobFailure, JobStatus, Output, ended_event_id
from gateway.domain.messages import JobEndedEvent, message_group
from tests.component.api import aws_calls
from tests.webhooks.harness import OUTPUT, SECRET, WebhookHarness
from tests.webhooks.receiver import Receiver, hangs, responds

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def test_an_ended_job_is_reported_to_its_receiver(harness: WebhookHarness) -> None:
    """The body says all of its end, signed, with a URL for each file; the log on the job says that it was delivered."""
    with Receiver(responds(204)) as receiver:
        job = harness.end(receiver.url, seed=7, metadata={"order": "ключ"})
        harness.announce(job)
        assert harness.pump() == [True]
    (request,) = receiver.received
    allowed = Webhook(SECRET).verify(request.body, request.headers)
    (output,) = allowed["result"]["outputs"]
    assert output["downloadUrl"].startswith("http")
    assert output["url"] == f"/outputs/{job.id}/a.png"
    assert allowed == {
        "event": "job.succeeded",
        "jobId": job.id,
        "status": "succeeded",
        "workflowId": "w",
        "result": {"outputs": [output]},
        "error": None,
        "timing": allowed["timing"],
        "metadata": {"order": "ключ"},
        "timestamp": allowed["timing"]["completedAt"],
    }
    assert request.headers["webhook-id"] == ended_event_id(job.id)
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.attempt_count, delivery.last_status_code) == (DeliveryStatus.DELIVERED, 1, 204)
    assert harness.left() == 0


@pytest.mark.parametrize(
    "end",
    [
        JobEnd(
            status=JobStatus.FAILED,
            completed_at=SYSTEM_CLOCK.now(),
            error=JobFailure(code="COMFYUI_OOM", message="Too large.", retryable=False, recommendation="Lower width."),
        ),
        JobEnd(status=JobStatus.CANCELED, completed_at=SYSTEM_CLOCK.now()),
    ],
    ids=lambda end: end.status,
)
def test_other_ends_are_reported_too(harness: WebhookHarness, end: JobEnd) -> None:
    """There is no result, and the error where there is one."""
    with Receiver(responds(200)) as receiver:
        harness.announce(harness.end(receiver.url, end))
        harness.pump()
    allowed = json.loads(receiver.received[0].body)
    assert (allowed["event"], allowed["status"], allowed["result"]) == (f"job.{end.status}", end.status, None)
    assert (allowed["error"] is None) == (end.error is None)
    if end.error:
        assert allowed["error"]["recommendation"] == "Lower width."


def test_jobs_without_a_callback_cost_nothing(harness: WebhookHarness) -> None:
    """Their events never reach the queue."""
    harness.announce(harness.end(None))
    assert harness.left() == 0


def test_a_delivery_takes_few_calls(harness: WebhookHarness) -> None:
    """Two when it works, and one more to have it tried again."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        for calls_expected in (
            ["dynamodb.UpdateItem"] * 2 + ["sqs.ChangeMessageVisibility"],
            ["dynamodb.UpdateItem"] * 2,
        ):
            with aws_calls(harness.clients) as calls:
                harness.process(record)
            assert [call for call in calls if call != "sqs.DeleteMessage"] == calls_expected
            harness.make_due(job)


def test_attempts_are_metrics(harness: WebhookHarness, capsys: pytest.CaptureFixture[str]) -> None:
    """Each, and those that failed: their share is what an operator watches."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        (record,) = harness.messages()
        harness.process(record)
        harness.make_due(job)
        harness.process(record)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["WebhookAttempts"], line["WebhookAttemptsFailed"]) for line in lines] == [(1, 1), (1, 0)]


def test_a_refused_target_is_an_attempt_that_failed(aws: dict[str, str], aws_clients: Clients) -> None:
    """The rules are those of the moment of delivery, and the log says what is against it."""
    harness = WebhookHarness(aws, aws_clients, WEBHOOK_ALLOW_LOOPBACK="false")
    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        assert harness.pump() == [False]
    assert receiver.connections == 0
    (attempt,) = harness.delivery(job).attempts
    assert attempt.error == "The host was not found, or has an address that is not public."


def test_without_a_secret_nothing_is_sent(aws: dict[str, str], aws_clients: Clients) -> None:
    """An unsigned webhook would teach receivers to take them."""
    harness = WebhookHarness(aws, aws_clients, WEBHOOK_SECRET="")
    with Receiver(responds(200)) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        assert harness.pump() == [False]
    assert receiver.connections == 0
    assert harness.delivery(job).status is DeliveryStatus.RETRYING


def test_a_large_body_is_cut(harness: WebhookHarness) -> None:
    """It stays below 20 kB, has the first outputs, and says how many there are and where."""
    outputs = tuple(
        Output(
            filename=f"{n:03}-{'ü' * 80}.png", key=f"outputs/x/{n}.png", size=n, sha256="ab" * 32, content_type="x/y"
        )
        for n in range(200)
    )
    with Receiver(responds(200)) as receiver:
        end = JobEnd(status=JobStatus.SUCCEEDED, completed_at=SYSTEM_CLOCK.now(), outputs=outputs)
        job = harness.end(receiver.url, end, metadata={"note": "x" * 8000})
        harness.announce(job)
        harness.pump()
    body = receiver.received[0].body
    assert 15_000 < len(body) <= 20_000
    result = json.loads(body)["result"]
    assert result["cut"] == {"total": 200, "url": f"/outputs/{job.id}"}
    assert [output["filename"] for output in result["outputs"]] == [
        o.filename for o in outputs[: len(result["outputs"])]
    ]


def test_a_slow_receiver_takes_no_longer_than_it_may(harness: WebhookHarness) -> None:
    """It is a failed attempt like any other."""
    with Receiver(hangs()) as receiver:
        job = harness.end(receiver.url)
        harness.announce(job)
        assert harness.pump() == [False]
    (attempt,) = harness.delivery(job).attempts
    assert "0.5 s" in str(attempt.error)
    assert attempt.duration_ms is not None
    assert 500 <= attempt.duration_ms < 2500


@pytest.mark.parametrize("body", ["", "{}", "hello", '{"version": 2}'])
def test_what_is_no_event_ends_as_a_dead_letter(harness: WebhookHarness, body: str) -> None:
    """It stays in the queue until that gives up on it."""
    record = {"messageId": "m", "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
    assert not harness.process(record)


def test_the_event_of_a_job_that_is_gone(harness: WebhookHarness) -> None:
    """Records are kept for a time; after that there is nothing to tell."""
    job = harness.end("http://127.0.0.1:9/")
    harness.announce(job)
    harness.clients.dynamodb.delete_item(
        TableName=harness.wiring.settings.table_name, Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "JOB"}}
    )
    assert harness.pump() == [True]


def test_logs_name_no_url_and_no_secret(harness: WebhookHarness, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens are often in URLs. Each line bears the job's id and the correlation id."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end(receiver.url, correlation_id="c-77")
        harness.announce(job)
        (record,) = harness.messages()
        harness.process(record)
        harness.make_due(job)
        harness.process(record)
    lines = [vars(record) for record in caplog.records]
    attempts = [line for line in lines if line.get("action") == "webhook_attempted"]
    assert [(line["job_id"], line["correlation_id"], line["status_code"]) for line in attempts] == [
        (job.id, "c-77", 500),
        (job.id, "c-77", 200),
    ]
    assert "t0ken" not in str(lines)
    assert SECRET not in str(lines)


def test_the_message_is_the_events_detail(harness: WebhookHarness) -> None:
    """What the rule puts into the queue is what a resend puts there."""
    job = harness.end("http://127.0.0.1:9/")
    harness.announce(job)
    harness.wiring.webhook_queue.send(JobEndedEvent.of(job))
    records = harness.messages()
    # The embedded AWS does not set the group that the rule says.
    assert {record["attributes"].get("MessageGroupId") for record in records} == {None, message_group(job.owner)}
    by_rule, by_hand = (JobEndedEvent.model_validate_json(record["body"]) for record in records)
    assert by_rule == by_hand == JobEndedEvent.of(job)
    assert by_rule.callback
    assert OUTPUT.key not in str(by_rule)
