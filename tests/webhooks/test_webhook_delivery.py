"""Delivering webhooks, from the event on the bus to the receiver: bodies, logs, metrics and AWS calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.delivery import DeliveryStatus
from gateway.domain.job import JobEnd, JobFailure, JobStatus, Output, ended_event_id
from gateway.domain.messages import JobEndedEvent, message_group
from gateway.domain.principal import owner_hash
from tests.component.api import aws_calls
from tests.webhooks.harness import OUTPUT, SECRET, WebhookHarness
from tests.webhooks.receiver import Receiver, hangs, responds

if TYPE_CHECKING:
    from gateway.aws.clients import Clients


def test_a_webhook_reports_the_result(harness: WebhookHarness) -> None:
    """It is signed and has a URL for each output; the job's delivery is `delivered`."""
    with Receiver(responds(204)) as receiver:
        job = harness.end_job(receiver.url, seed=7, metadata={"order": "ключ"})
        harness.publish_event(job)
        assert harness.process_all() == [True]
    (request,) = receiver.received
    payload = Webhook(SECRET).verify(request.body, request.headers)
    (output,) = payload["result"]["outputs"]
    assert output["downloadUrl"].startswith("http")
    assert output["url"] == f"/outputs/{job.id}/a.png"
    assert payload == {
        "event": "job.succeeded",
        "jobId": job.id,
        "status": "succeeded",
        "workflowId": "w",
        "owner": owner_hash(job.owner),
        "result": {"outputs": [output]},
        "error": None,
        "timing": payload["timing"],
        "metadata": {"order": "ключ"},
        "timestamp": payload["timing"]["completedAt"],
    }
    assert request.headers["webhook-id"] == ended_event_id(job.id)
    delivery = harness.delivery(job)
    assert (delivery.status, delivery.attempt_count, delivery.last_status_code) == (DeliveryStatus.DELIVERED, 1, 204)
    assert harness.message_count() == 0


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
def test_a_webhook_reports_failed_and_canceled_jobs(harness: WebhookHarness, end: JobEnd) -> None:
    """They have no result; a failed job has its error."""
    with Receiver(responds(200)) as receiver:
        harness.publish_event(harness.end_job(receiver.url, end))
        harness.process_all()
    payload = json.loads(receiver.received[0].body)
    assert (payload["event"], payload["status"], payload["result"]) == (f"job.{end.status}", end.status, None)
    assert (payload["error"] is None) == (end.error is None)
    if end.error:
        assert payload["error"]["recommendation"] == "Lower width."


def test_events_of_jobs_without_a_callback_are_not_queued(harness: WebhookHarness) -> None:
    """The rule of the bus filters them out."""
    harness.publish_event(harness.end_job(None))
    assert harness.message_count() == 0


def test_aws_calls_per_attempt(harness: WebhookHarness) -> None:
    """Two, and a third one to schedule a retry."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        for calls_expected in (
            ["dynamodb.UpdateItem"] * 2 + ["sqs.ChangeMessageVisibility"],
            ["dynamodb.UpdateItem"] * 2,
        ):
            with aws_calls(harness.clients) as calls:
                harness.process(record)
            assert [call for call in calls if call != "sqs.DeleteMessage"] == calls_expected
            harness.make_due(job)


def test_attempts_are_counted_by_metrics(harness: WebhookHarness, capsys: pytest.CaptureFixture[str]) -> None:
    """All attempts and failed attempts, so that an operator can monitor the failure rate."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        (record,) = harness.messages()
        harness.process(record)
        harness.make_due(job)
        harness.process(record)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert [(line["WebhookAttempts"], line["WebhookAttemptsFailed"]) for line in lines] == [(1, 1), (1, 0)]


def test_a_url_that_is_no_longer_allowed_is_a_failed_attempt(aws: dict[str, str], aws_clients: Clients) -> None:
    """The URL is checked again at delivery; the attempt has the reason."""
    harness = WebhookHarness(aws, aws_clients, WEBHOOK_ALLOW_LOOPBACK="false")
    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        assert harness.process_all() == [False]
    assert receiver.connections == 0
    (attempt,) = harness.delivery(job).attempts
    assert "not public" in str(attempt.error)


def test_without_a_secret_nothing_is_sent(aws: dict[str, str], aws_clients: Clients) -> None:
    """Receivers must never get an unsigned webhook. The attempt is retried."""
    harness = WebhookHarness(aws, aws_clients, WEBHOOK_SECRET="")
    with Receiver(responds(200)) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        assert harness.process_all() == [False]
    assert receiver.connections == 0
    assert harness.delivery(job).status is DeliveryStatus.RETRYING


def test_a_large_body_is_truncated(harness: WebhookHarness) -> None:
    """It has at most 20 kB: the first outputs, their total number and the URL of all."""
    outputs = tuple(
        Output(
            filename=f"{n:03}-{'ü' * 80}.png", key=f"outputs/x/{n}.png", size=n, sha256="ab" * 32, content_type="x/y"
        )
        for n in range(200)
    )
    with Receiver(responds(200)) as receiver:
        end = JobEnd(status=JobStatus.SUCCEEDED, completed_at=SYSTEM_CLOCK.now(), outputs=outputs)
        job = harness.end_job(receiver.url, end, metadata={"note": "x" * 8000})
        harness.publish_event(job)
        harness.process_all()
    body = receiver.received[0].body
    assert 15_000 < len(body) <= 20_000
    result = json.loads(body)["result"]
    assert result["cut"] == {"total": 200, "url": f"/outputs/{job.id}"}
    assert [output["filename"] for output in result["outputs"]] == [
        o.filename for o in outputs[: len(result["outputs"])]
    ]


def test_a_slow_receiver_is_a_timeout(harness: WebhookHarness) -> None:
    """The attempt fails after the time limit."""
    with Receiver(hangs()) as receiver:
        job = harness.end_job(receiver.url)
        harness.publish_event(job)
        assert harness.process_all() == [False]
    (attempt,) = harness.delivery(job).attempts
    assert "0.5 s" in str(attempt.error)
    assert attempt.duration_ms is not None
    assert 500 <= attempt.duration_ms < 2500


@pytest.mark.parametrize("body", ["", "{}", "hello", '{"version": 2}'])
def test_an_invalid_message_is_not_deleted(harness: WebhookHarness, body: str) -> None:
    """It stays in the queue until SQS moves it to the dead-letter queue."""
    record = {"messageId": "m", "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
    assert not harness.process(record)


def test_the_event_of_an_expired_job_is_deleted(harness: WebhookHarness) -> None:
    """Job records expire; nothing is delivered then."""
    job = harness.end_job("http://127.0.0.1:9/")
    harness.publish_event(job)
    harness.clients.dynamodb.delete_item(
        TableName=harness.wiring.settings.table_name, Key={"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "JOB"}}
    )
    assert harness.process_all() == [True]


def test_logs_contain_no_url_and_no_secret(harness: WebhookHarness, caplog: pytest.LogCaptureFixture) -> None:
    """URLs often contain tokens. Each line has the job id and the correlation id."""
    with Receiver(responds(500), responds(200)) as receiver:
        job = harness.end_job(receiver.url, correlation_id="c-77")
        harness.publish_event(job)
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


def test_a_redelivery_queues_the_same_message_as_the_rule(harness: WebhookHarness) -> None:
    """Both messages have the detail of the event, without object keys."""
    job = harness.end_job("http://127.0.0.1:9/")
    harness.publish_event(job)
    harness.wiring.webhook_queue.send(JobEndedEvent.of(job))
    records = harness.messages()
    # The embedded AWS does not set the message group of the rule.
    assert {record["attributes"].get("MessageGroupId") for record in records} == {None, message_group(job.owner)}
    by_rule, by_hand = (JobEndedEvent.model_validate_json(record["body"]) for record in records)
    assert by_rule == by_hand == JobEndedEvent.of(job)
    assert by_rule.callback
    assert OUTPUT.key not in str(by_rule)
