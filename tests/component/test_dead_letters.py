"""The dead-letters function: jobs whose messages were received too often."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.events import dead_letters
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Job, JobStatus, ended_event_id
from gateway.errors import EventNotPublishedError, LeaseLostError
from tests.component.api import aws_calls
from tests.component.event_functions import PROMPT, EventFunctions, body_of, failed
from tests.component.samples import SUCCESS, run_concurrently

if TYPE_CHECKING:
    from functions.wiring.entry import Handler
    from gateway.aws.clients import Clients
    from gateway.domain.messages import JobEndedEvent


@pytest.fixture
def handler(event_functions: EventFunctions) -> Handler:
    """Return the dead-letters function."""
    return dead_letters.handler.make_handler(event_functions.wiring)


def claimed(event_functions: EventFunctions, job: Job, lease: timedelta = timedelta(seconds=30)) -> Job:
    """Claim a job; a negative lease has expired."""
    now = SYSTEM_CLOCK.now()
    return event_functions.jobs.claim(job.id, executor_id="e-1", now=now, lease_until=now + lease)


def test_a_queued_job_fails(event_functions: EventFunctions, handler: Handler) -> None:
    """The job fails with a recommendation, its event is published once, and its message is removed."""
    job = event_functions.record()
    assert failed(handler, body_of(job)) == []
    ended = event_functions.job(job.id)
    assert (ended.status, ended.attempt, ended.outputs) == (JobStatus.FAILED, 0, None)
    assert ended.completed_at is not None
    assert ended.error is not None
    assert (ended.error.code, ended.error.retryable) == ("EXECUTOR_LOST", True)
    assert ended.error.recommendation
    assert [(event.event_id, event.status) for event in event_functions.published()] == [
        (ended_event_id(job.id), "failed")
    ]


def test_a_job_with_an_expired_lease_fails(event_functions: EventFunctions, handler: Handler) -> None:
    """The job fails once its lease has expired; the attempt can write nothing afterwards."""
    attempt = claimed(event_functions, event_functions.record(), lease=timedelta(minutes=-5))
    assert failed(handler, body_of(attempt)) == []
    ended = event_functions.job(attempt.id)
    assert (ended.status, ended.lease_owner, ended.lease_expires_at) == (JobStatus.FAILED, None, None)
    with pytest.raises(LeaseLostError):
        event_functions.jobs.finish(attempt, SUCCESS)
    assert event_functions.job(attempt.id) == ended


def test_a_released_job_fails(event_functions: EventFunctions, handler: Handler) -> None:
    """A released job has no lease, so it fails at once."""
    attempt = claimed(event_functions, event_functions.record())
    event_functions.jobs.release(attempt)
    assert failed(handler, body_of(attempt)) == []
    assert event_functions.job(attempt.id).status is JobStatus.FAILED


def full_text(record: logging.LogRecord) -> str:
    """Return all text of a log record, traceback included."""
    return f"{logging.Formatter().format(record)} {vars(record)}"


@pytest.mark.parametrize("lease", [timedelta(seconds=30), timedelta(seconds=-1)], ids=["live", "just expired"])
def test_a_leased_job_stays(event_functions: EventFunctions, handler: Handler, lease: timedelta) -> None:
    """A leased job stays, and its message is retried in case the executor is lost. Clocks may differ by seconds."""
    attempt = claimed(event_functions, event_functions.record(), lease)
    assert failed(handler, body_of(attempt)) == [0]
    assert event_functions.job(attempt.id) == attempt
    assert event_functions.published() == []


def test_the_event_of_an_ended_job_is_published_again(event_functions: EventFunctions, handler: Handler) -> None:
    """The event of an ended job is published again, in case its writer stopped before publishing."""
    ended = event_functions.jobs.finish(claimed(event_functions, event_functions.record()), SUCCESS)
    assert failed(handler, body_of(ended)) == []
    assert [(event.event_id, event.status) for event in event_functions.published()] == [
        (ended_event_id(ended.id), "succeeded")
    ]
    assert event_functions.job(ended.id) == ended


def test_a_message_without_a_job_is_removed(event_functions: EventFunctions, handler: Handler) -> None:
    """A message whose record has expired is removed."""
    never = event_functions.record()
    event_functions.clients.dynamodb.delete_item(
        TableName=event_functions.environment["TABLE_NAME"], Key={"pk": {"S": f"JOB#{never.id}"}, "sk": {"S": "JOB"}}
    )
    assert failed(handler, body_of(never)) == []
    assert event_functions.published() == []


@pytest.mark.parametrize("version", [2, "x", None])
def test_a_message_of_another_version_fails_its_job(
    event_functions: EventFunctions, handler: Handler, version: object
) -> None:
    """A message of another version has a job id, so its job fails."""
    job = event_functions.record()
    assert failed(handler, json.dumps({"version": version, "jobId": job.id, "graph": PROMPT})) == []
    assert event_functions.job(job.id).status is JobStatus.FAILED


@pytest.mark.parametrize(
    "body",
    [
        "",
        "secret, not JSON",
        "{}",
        "[]",
        "null",
        '{"jobId": 7, "prompt": "secret"}',
        '{"jobId": "secret", "version": 1}',
        '{"jobId": "../3f0c0000-0000-4000-8000-000000000000"}',
        '{"jobId":' + "[" * 100_000,
        '{"secret": "\\ud800"}',
    ],
    ids=range(10),
)
def test_an_unreadable_message_is_removed(handler: Handler, body: str, caplog: pytest.LogCaptureFixture) -> None:
    """An unreadable message is removed and logged by its id, without its content."""
    assert failed(handler, body) == []
    (record,) = caplog.records
    assert vars(record)["action"] == "dead_letter_unreadable"
    assert "secret" not in full_text(record)


def test_only_the_failed_message_is_retried(
    event_functions: EventFunctions, handler: Handler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the failed message is retried; the retry publishes the event."""
    first, second = event_functions.record(), event_functions.record()
    publish = event_functions.wiring.bus.publish

    def publish_except_first(event: JobEndedEvent) -> None:
        if event.job_id == first.id:
            raise EventNotPublishedError("InternalFailure")
        publish(event)

    with monkeypatch.context() as broken:
        broken.setattr(event_functions.wiring.bus, "publish", publish_except_first)
        assert failed(handler, body_of(first), body_of(second)) == [0]
    assert [event.job_id for event in event_functions.published()] == [second.id]
    ended = event_functions.job(first.id)
    assert failed(handler, body_of(first)) == []
    assert [event.event_id for event in event_functions.published()] == [ended_event_id(first.id)]
    assert event_functions.job(first.id) == ended
    assert caplog.records
    assert not [record for record in caplog.records if "a-private-prompt" in full_text(record)]


def test_in_a_race_with_an_executor_one_wins(event_functions: EventFunctions, handler: Handler) -> None:
    """Either the claim wins and the message is retried, or the job has failed and cannot be claimed."""
    for _ in range(20):
        job = event_functions.record()

        def act(number: int, job: Job = job) -> object:
            return claimed(event_functions, job) if number else failed(handler, body_of(job))

        results: list[Any] = []
        try:
            results = run_concurrently(2, act)
        except Exception:  # noqa: BLE001  the claim was rejected
            assert event_functions.job(job.id).status is JobStatus.FAILED
        else:
            assert results[0] == [0]
            assert event_functions.job(job.id).status is JobStatus.RUNNING


def test_a_message_costs_two_calls(event_functions: EventFunctions, handler: Handler, aws_clients: Clients) -> None:
    """A failed job costs the terminal write and the event; a leased job costs the rejected write only."""
    queued, running = event_functions.record(), claimed(event_functions, event_functions.record())
    with aws_calls(aws_clients) as calls:
        failed(handler, body_of(queued))
    assert calls == ["dynamodb.UpdateItem", "eventbridge.PutEvents"]
    with aws_calls(aws_clients) as calls:
        failed(handler, body_of(running))
    assert calls == ["dynamodb.UpdateItem"]
