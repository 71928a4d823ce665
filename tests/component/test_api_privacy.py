"""Privacy mode of the API: a job's inputs are in its message only."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from functions.logs import api_logger
from gateway.aws.dynamodb.compression import unpack
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.domain.workflow import WorkflowTemplate
from gateway.limits import MAX_PRIVATE_PROMPT_BYTES
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import BY
from tests.component.test_api_cache import run_and_cache
from tests.component.workflows import add_workflow, post, received

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.domain.messages import JobMessage

KEY = {"Idempotency-Key": "order-1"}
BODY: dict[str, Any] = {
    "workflowId": "w",
    "inputs": {"prompt": "a secret fox", "seed": -1},
    "params": {"checkpoint": "secret.safetensors"},
}


@pytest.fixture
def private(aws: dict[str, str], aws_clients: Clients) -> AwsGateway:
    """Return a gateway in privacy mode that has the workflow `w`."""
    gateway = Gateway.on_aws(aws, aws_clients, PRIVACY_MODE="true")
    add_workflow(gateway)
    return gateway


def test_a_private_record_has_the_request_hash_only(aws_gateway: AwsGateway, private: AwsGateway) -> None:
    """A private record has no inputs or parameters; its request hash is the same as without privacy mode."""
    private.ada.post("/jobs", BODY, {"Idempotency-Key": "one"})
    (item,) = private.stored("JOB#")
    assert not item.keys() & {"inputs", "params"}
    aws_gateway.ada.post("/jobs", BODY, {"Idempotency-Key": "two"})
    (usual,) = [other for other in aws_gateway.stored("JOB#") if other != item]
    assert usual["requestHash"] == item["requestHash"]
    assert unpack(usual["inputs"]["B"])["prompt"] == "a secret fox"
    assert unpack(usual["params"]["B"])["checkpoint"] == "secret.safetensors"
    for field in item.values():
        assert "secret" not in str(unpack(field["B"]) if "B" in field else field)


def test_seed_and_metadata_are_returned(private: AwsGateway) -> None:
    """Seed and metadata are stored and returned: a seed reveals nothing, and callers choose their metadata."""
    job_id = private.ada.post("/jobs", {**BODY, "metadata": {"order": 7}}).json["jobId"]
    job = private.ada.get(f"/jobs/{job_id}").json
    assert job["seed"] >= 0
    assert job["metadata"] == {"order": 7}


def test_the_prompt_is_in_the_message(private: AwsGateway) -> None:
    """The message is marked as private, and submission costs no additional calls."""
    private.ada.post("/jobs", BODY)
    with aws_calls(private.clients) as calls:
        private.ada.post("/jobs", BODY)
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem", "dynamodb.PutItem", "sqs.SendMessage"]
    message = received(private).message
    assert message.private
    assert message.prompt is not None
    assert message.prompt["5"]["inputs"]["text"] == "a secret fox"


@pytest.mark.parametrize("character", ["x", "é", "\uffff", "\x00"], ids=ascii)
def test_a_large_prompt_is_in_the_message(private: AwsGateway, character: str) -> None:
    """A prompt of up to 500 KiB, in encoded bytes, is in the message and not in the bucket; a larger one is 400."""
    graph = {"1": {"class_type": "A", "inputs": {str(n): "{{prompt}}" for n in range(6)}}}
    template = WorkflowTemplate.register(graph, {"properties": {"prompt": {"type": "string"}}}, None)
    private.wiring.workflows.create("six", "Six", "", template, BY)
    written = len(json.dumps(character, ensure_ascii=False).encode()) - len('""')
    fitting = (MAX_PRIVATE_PROMPT_BYTES - 100) // 6 // written
    with aws_calls(private.clients) as calls:
        accepted = post(private.ada, workflowId="six", inputs={"prompt": character * fitting})
    assert accepted.status == 202, accepted.json
    assert "s3.PutObject" not in calls
    message = received(private).message
    assert message.prompt is not None
    assert message.prompt["1"]["inputs"]["5"] == character * fitting
    rejected = post(private.ada, workflowId="six", inputs={"prompt": character * (fitting + 100)})
    assert rejected.status == 400
    assert "privacy mode" in rejected.json["message"]


def test_a_retry_sends_the_same_message(private: AwsGateway) -> None:
    """A retry renders the prompt from the request, with the random seed of the first."""
    for _ in range(2):
        assert private.ada.post("/jobs", BODY, {**KEY, "X-Correlation-Id": "c"}).status == 202
    assert received(private).message == received(private).message


def test_a_retry_keeps_the_privacy_of_its_job(aws_gateway: AwsGateway, private: AwsGateway) -> None:
    """Privacy is decided at acceptance: a retry under the other setting does not change it."""
    for first, second in ((private, aws_gateway), (aws_gateway, private)):
        key = {"Idempotency-Key": str(first), "X-Correlation-Id": "c"}
        first.ada.post("/jobs", BODY, key)
        second.ada.post("/jobs", BODY, key)
        message = received(private).message
        assert message == received(private).message
        assert message.private == (first is private)


def test_exceptions_are_logged_without_their_message(
    aws_gateway: AwsGateway, private: AwsGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In privacy mode, the log has an exception's location but not its message, which may contain the prompt."""

    def broken(_queue: object, message: JobMessage, **_: object) -> None:
        raise ValueError(f"not sent: {message.prompt}") from KeyError("a secret fox")

    monkeypatch.setattr(SqsJobQueue, "send", broken)
    logs = []
    for each in (private, aws_gateway):
        log = io.StringIO()
        monkeypatch.setattr(api_logger.registered_handler, "stream", log)
        assert each.ada.post("/jobs", BODY).status == 500
        logs.append(log.getvalue())
    assert "secret" not in logs[0]
    assert "test_api_privacy.py" in json.loads(logs[0])["exception"]
    assert "a secret fox" in logs[1]


def test_private_jobs_do_not_share_results_with_others(aws_gateway: AwsGateway, private: AwsGateway) -> None:
    """Private jobs do not share results with other jobs, whose file names may contain inputs."""
    run_and_cache(aws_gateway, aws_gateway.ada)
    assert post(private.ada, inputs={"prompt": "a fox", "seed": 7}).status == 202
    run_and_cache(private, private.bob)
    assert post(private.bob, inputs={"prompt": "a fox", "seed": 7}).status == 200
