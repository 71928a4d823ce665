"""Idempotency keys: requests of one owner with the same key create one job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.domain.job import JobStatus, Priority
from gateway.domain.submission import Submission
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import run_concurrently
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


def test_a_retry_returns_the_same_job(gateway: Gateway, ada: Caller) -> None:
    """A retry gets the first response, and there is one record."""
    first = ada.post("/jobs", BODY, KEY)
    again = ada.post("/jobs", BODY, KEY)
    assert (first.status, again.status) == (202, 202)
    assert again.json == first.json
    assert len(stored_jobs(gateway)) == 1


def test_a_retry_of_a_queued_job_sends_its_message_again(gateway: Gateway, ada: Caller) -> None:
    """The first message may never have been sent; the second is equal, random seed included."""
    for correlation_id in ("first", "second"):
        ada.post("/jobs", BODY, {**KEY, "X-Correlation-Id": correlation_id})
    messages = [received(gateway).message, received(gateway).message]
    assert messages[0] == messages[1]
    assert messages[1].correlation_id == "first"


def test_a_retry_of_a_started_job_sends_no_message(aws_gateway: AwsGateway, ada: Caller) -> None:
    """Once the job has been claimed or has ended, a retry only returns it."""
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
    """A request with the same key and another body changes nothing and sends no message."""
    add_workflow(gateway, "w2")
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    before = gateway.wiring.jobs.get(job_id)
    received(gateway)
    response = ada.post("/jobs", {**BODY, **other}, KEY)
    assert (response.status, response.json["error"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert gateway.wiring.jobs.get(job_id) == before
    assert [gateway.wiring.queue.receive(priority, wait_seconds=0) for priority in Priority] == [None] * 3


def test_the_order_of_fields_does_not_matter(ada: Caller) -> None:
    """JSON objects are unordered."""
    reordered = {name: dict(reversed(v.items())) if isinstance(v, dict) else v for name, v in reversed(BODY.items())}
    assert ada.post("/jobs", reordered, KEY).json == ada.post("/jobs", BODY, KEY).json


def test_the_metadata_request_id_is_an_idempotency_key(ada: Caller) -> None:
    """`metadata.requestId` is an idempotency key; the header takes precedence."""
    first = post(ada, metadata={"requestId": "order-1"})
    assert post(ada, metadata={"requestId": "order-1"}).json == first.json
    assert post(ada, metadata={"requestId": "order-2"}).json["jobId"] != first.json["jobId"]
    body = {**BODY, "metadata": {"requestId": "order-3"}}
    assert (
        ada.post("/jobs", body, {"Idempotency-Key": "order-4"}).json["jobId"] != ada.post("/jobs", body).json["jobId"]
    )


def test_without_a_key_every_request_creates_a_job(ada: Caller) -> None:
    """Without a key, the same body twice creates two jobs."""
    assert ada.post("/jobs", BODY).json["jobId"] != ada.post("/jobs", BODY).json["jobId"]


def test_keys_are_per_owner(gateway: Gateway, ada: Caller) -> None:
    """Another owner's request with the same key creates a job and does not expose the first."""
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    other = gateway.bob.post("/jobs", {**BODY, "priority": "low"}, KEY)
    assert other.status == 202
    assert other.json["jobId"] != job_id
    assert gateway.bob.get(f"/jobs/{job_id}").status == 404


@pytest.mark.parametrize("key", ["x" * 256, "é" * 300])
def test_an_overlong_key_is_400(ada: Caller, key: str) -> None:
    """A key has at most 255 characters."""
    response = ada.post("/jobs", BODY, {"Idempotency-Key": key})
    assert response.status == 400
    assert [error["path"] for error in response.json["details"]["errors"]] == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["x" * 255, "a:b/c", "🦊", " "])
def test_any_other_key_is_accepted(ada: Caller, key: str) -> None:
    """Any other text is a valid key."""
    assert ada.post("/jobs", BODY, {"Idempotency-Key": key}).status == 202


def test_concurrent_requests_create_one_job(gateway: Gateway) -> None:
    """Twenty concurrent requests with one key create one job, and every message is for it.

    A handler processes one request at a time in a process, so the threads call the use case.
    """
    add_workflow(gateway)
    submit = gateway.wiring.submitter.submit
    jobs = run_concurrently(20, lambda number: submit(replace(SUBMISSION, correlation_id=f"c-{number}")).job)
    assert len({job.id for job in jobs}) == 1
    assert len({job.seed for job in jobs}) == 1
    assert len(stored_jobs(gateway)) == 1
    messages: list[JobMessage] = [received(gateway).message for _ in range(20)]
    assert all(message == messages[0] for message in messages)
    assert messages[0].prompt is not None
    assert messages[0].prompt["3"]["inputs"]["seed"] == jobs[0].seed


class LostResponse:
    """A job store whose first response to `create` is lost, so that boto3 repeats the request."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def create(self, job: Job) -> Job:
        """Create the job twice, as boto3 does."""
        self._jobs.create(job)
        return self._jobs.create(job)


@pytest.mark.parametrize("key", [None, "order-1"])
def test_a_put_repeated_by_boto3_is_not_a_conflict(gateway: Gateway, key: str | None) -> None:
    """The record found is that of the same request: the job is accepted and its message is sent."""
    add_workflow(gateway)
    gateway.wiring.jobs = LostResponse(gateway.wiring.jobs)  # type: ignore[assignment]  # the only method called
    job = gateway.wiring.submitter.submit(replace(SUBMISSION, idempotency_key=key)).job
    assert job.status is JobStatus.QUEUED
    assert received(gateway).message.job_id == job.id


def test_a_retry_recovers_from_a_queue_failure(gateway: Gateway, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the message cannot be sent, the response is 500; a retry sends the message of the same job."""

    def broken(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessage")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.wiring.queue, "send", broken)
        response = ada.post("/jobs", BODY, KEY)
        assert (response.status, response.json["retryable"]) == (500, True)
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    assert received(gateway).message.job_id == job_id
    assert len(stored_jobs(gateway)) == 1


def test_a_retry_returns_its_job_after_the_workflow_is_deleted(aws_gateway: AwsGateway, ada: Caller) -> None:
    """After the workflow is deleted, a retry still returns its job; a new request is 404."""
    job_id = ada.post("/jobs", BODY, KEY).json["jobId"]
    key = {"pk": {"S": "WORKFLOW"}, "sk": {"S": BODY["workflowId"]}}
    aws_gateway.clients.dynamodb.delete_item(TableName=aws_gateway.table_name, Key=key)
    again = ada.post("/jobs", BODY, KEY)
    assert (again.status, again.json["jobId"]) == (202, job_id)
    assert ada.post("/jobs", BODY, {"Idempotency-Key": "another"}).status == 404


def test_a_retry_sends_the_accepted_prompt(aws_gateway: AwsGateway, ada: Caller, aws: dict[str, str]) -> None:
    """A retry sends the first message, despite a new workflow version and a lower limit."""
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
