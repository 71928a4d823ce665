"""Idempotency keys: one key of one owner is one job, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.domain.job import JobStatus, Priority
from gateway.domain.submission import Submission
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import at_once
from tests.component.workflows import add_workflow, post, received, run, stored_jobs

if TYPE_CHECKING:
    from gateway.domain.job import Job
    from gateway.domain.messages import JobMessage
    from gateway.ports import JobStore
    from tests.component.api import Caller

KEY = {"Idempotency-Key": "order-1"}
BODY: dict[str, Any] = {"workflowId": "w", "inputs": {"prompt": "a fox", "seed": -1}, "params": {"checkpoint": "x"}}
SUBMISSION = Submission(
    owner="ada",
    workflow_id="w",
    inputs={"prompt": "a fox"},
    params={},
    priority=Priority.NORMAL,
    metadata={},
    idempotency_key="order-1",
    correlation_id="c",
    callback_url=None,
)


def test_the_same_request_again_is_the_same_job(gateway: Gateway, ada: Caller) -> None:
    """The answer is the first one, and there is one record."""
    first = ada.post("/jobs", BODY, KEY)
    again = ada.post("/jobs", BODY, KEY)
    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json
    assert len(stored_jobs(gateway)) == 1


def test_a_job_that_is_still_queued_gets_its_message_again(gateway: Gateway, ada: Caller) -> None:
    """The first message may never have been sent; the second is its twin, random seed included."""
    for correlation_id in ("first", "second"):
        ada.post("/jobs", BODY, {**KEY, "X-Correlation-Id": correlation_id})
    messages = [received(gateway).message, received(gateway).message]
    assert messages[0] == messages[1]
    assert messages[1].correlation_id == "first"


def test_a_job_that_has_started_gets_no_second_message(aws_gateway: AwsGateway, ada: Caller) -> None:
    """Once claimed, or ended, the job is only told."""
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    run(aws_gateway, job_id, {})
    received(aws_gateway)
    with aws_calls(aws_gateway.clients) as calls:
        again = ada.post("/jobs", BODY, KEY)
    assert (again.status, again.json["jobId"], again.json["status"]) == (202, job_id, "succeeded")
    assert "sqs.SendMessage" not in calls


@pytest.mark.parametrize(
    "other",
    [
        {"inputs": {"prompt": "a cat", "seed": -1}},
        {"inputs": {"prompt": "a fox", "seed": -1.0}},
        {"params": {}},
        {"priority": "high"},
        {"metadata": {"a": 1}},
        {"workflowId": "w2"},
    ],
    ids=str,
)
def test_the_same_key_with_another_body_is_422(gateway: Gateway, ada: Caller, other: dict[str, Any]) -> None:
    """Nothing of it is accepted, and the first job stays as it was."""
    add_workflow(gateway, "w2")
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    before = gateway.wiring.jobs.get(job_id)
    received(gateway)
    response = ada.post("/jobs", {**BODY, **other}, KEY)
    assert (response.status, response.json["error"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert gateway.wiring.jobs.get(job_id) == before
    assert [gateway.wiring.queue.receive(priority, wait_seconds=0) for priority in Priority] == [None] * 3


def test_the_order_of_fields_makes_no_other_body(ada: Caller) -> None:
    """JSON objects have no order."""
    turned = {name: dict(reversed(v.items())) if isinstance(v, dict) else v for name, v in reversed(BODY.items())}
    assert ada.post("/jobs", turned, KEY).json == ada.post("/jobs", BODY, KEY).json


def test_the_request_id_in_the_metadata_is_a_key_too(ada: Caller) -> None:
    """`metadata.requestId` does what the header does; sent beside it, the header counts."""
    first = post(ada, metadata={"requestId": "order-1"})
    assert post(ada, metadata={"requestId": "order-1"}).json == first.json
    assert post(ada, metadata={"requestId": "order-2"}).json["jobId"] != first.json["jobId"]
    body = {**BODY, "metadata": {"requestId": "order-3"}}
    assert (
        ada.post("/jobs", body, {"Idempotency-Key": "order-4"}).json["jobId"] != ada.post("/jobs", body).json["jobId"]
    )


def test_without_a_key_every_request_is_a_job(ada: Caller) -> None:
    """The same body twice is two jobs."""
    assert ada.post("/jobs", BODY).json["jobId"] != ada.post("/jobs", BODY).json["jobId"]


def test_a_key_belongs_to_its_owner(gateway: Gateway, ada: Caller) -> None:
    """Another owner's same key is another job, or another body, and tells nothing of the first."""
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    other = gateway.bob.post("/jobs", {**BODY, "priority": "low"}, KEY)
    assert other.status == 202
    assert other.json["jobId"] != job_id
    assert gateway.bob.get(f"/jobs/{job_id}").status == 404


@pytest.mark.parametrize("key", ["x" * 256, "é" * 300])
def test_an_endless_key_is_400(ada: Caller, key: str) -> None:
    """A key has 255 characters at most."""
    response = ada.post("/jobs", BODY, {"Idempotency-Key": key})
    assert response.status == 400
    assert [error["path"] for error in response.json["details"]["errors"]] == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["x" * 255, "a:b/c", "🦊", " "])
def test_any_other_key_is_good(ada: Caller, key: str) -> None:
    """Callers choose their keys."""
    assert ada.post("/jobs", BODY, {"Idempotency-Key": key}).status == 202


def test_of_twenty_requests_at_once_one_makes_the_job(gateway: Gateway) -> None:
    """All twenty get the same job, one record is written, and every message is of that one job.

    A handler answers one request at a time in a process, so it is what it calls that runs in threads here.
    """
    add_workflow(gateway)
    submit = gateway.wiring.submitter.submit
    jobs = at_once(20, lambda number: submit(replace(SUBMISSION, correlation_id=f"c-{number}")).job)
    assert len({job.id for job in jobs}) == 1
    assert len({job.seed for job in jobs}) == 1
    assert len(stored_jobs(gateway)) == 1
    messages: list[JobMessage] = [received(gateway).message for _ in range(20)]
    assert all(message == messages[0] for message in messages)
    assert messages[0].prompt is not None
    assert messages[0].prompt["3"]["inputs"]["seed"] == jobs[0].seed


class LostResponse:
    """A job store whose first answer to `create` is lost, so that boto3 sends the request again."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def create(self, job: Job) -> Job:
        """Create it twice, as boto3 does."""
        self._jobs.create(job)
        return self._jobs.create(job)


@pytest.mark.parametrize("key", [None, "order-1"])
def test_a_put_that_boto3_repeats_is_no_other_request(gateway: Gateway, key: str | None) -> None:
    """The record that is found is this request's own: the job is accepted, and has its message."""
    add_workflow(gateway)
    gateway.wiring.jobs = LostResponse(gateway.wiring.jobs)  # type: ignore[assignment]  # the one method that is called
    job = gateway.wiring.submitter.submit(replace(SUBMISSION, idempotency_key=key)).job
    assert job.status is JobStatus.QUEUED
    assert received(gateway).message.job_id == job.id


def test_a_queue_that_fails_is_made_good_by_a_retry(
    gateway: Gateway, ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told 202 without a message; the same request again sends it for the same job."""

    def broken(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessage")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.wiring.queue, "send", broken)
        response = ada.post("/jobs", BODY, KEY)
        assert (response.status, response.json["retryable"]) == (500, True)
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    assert received(gateway).message.job_id == job_id
    assert len(stored_jobs(gateway)) == 1


def test_a_retry_finds_its_job_whatever_became_of_the_workflow(aws_gateway: AwsGateway, ada: Caller) -> None:
    """What was accepted once is not refused the second time; a new request is."""
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    key = {"pk": {"S": "WORKFLOW"}, "sk": {"S": BODY["workflowId"]}}
    aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=key)
    again = ada.post("/jobs", BODY, KEY)
    assert (again.status, again.json["jobId"]) == (202, job_id)
    assert ada.post("/jobs", BODY, {"Idempotency-Key": "another"}).status == 404


def test_a_retry_sends_what_was_accepted(aws_gateway: AwsGateway, ada: Caller, aws: dict[str, str]) -> None:
    """Neither a new version of the workflow nor a lower limit changes what the first request has become."""
    ada.post("/jobs", BODY, {**KEY, "X-Correlation-Id": "c"})
    change = {"workflowJson": {"1": {"class_type": "Other", "inputs": {"text": "{{prompt}}"}}}}
    assert aws_gateway.admin.put("/workflows/w", change).status == 200
    stricter = Gateway.on_aws(aws, aws_gateway.clients, MAX_IMAGE_SIZE="64")
    assert stricter.ada.post("/jobs", BODY, KEY).status == 202
    assert stricter.ada.post("/jobs", BODY).status == 400
    first, again = received(aws_gateway).message, received(aws_gateway).message
    assert again == first
    assert first.prompt is not None
    assert first.prompt["5"]["inputs"]["text"] == "a fox"
