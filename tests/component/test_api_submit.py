"""`POST /jobs`: accepted and rejected submissions, and their records and messages."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.executor import Heartbeat
from gateway.domain.job import Priority
from gateway.domain.messages import MAX_MESSAGE_PROMPT_BYTES
from gateway.domain.workflow import WorkflowTemplate
from testing.object_store import InMemoryObjectStore
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import BY
from tests.component.workflows import post, received, stored_jobs

if TYPE_CHECKING:
    from tests.component.api import Caller


def assert_nothing_was_accepted(gateway: Gateway) -> None:
    """Check that no job has a record, a message or a stored prompt."""
    assert stored_jobs(gateway) == []
    assert [gateway.wiring.queue.receive(priority, wait_seconds=0) for priority in Priority] == [None] * 3
    assert isinstance(gateway.wiring.objects, InMemoryObjectStore)
    assert not [key for key in gateway.wiring.objects.objects if key.startswith("prompts/")]


def test_a_job_is_accepted(gateway: Gateway, ada: Caller) -> None:
    """The response is 202, and the record and the message match the request."""
    response = ada.post(
        "/jobs",
        {
            "workflowId": "w",
            "inputs": {"prompt": "a {{seed}} fox", "seed": 7},
            "params": {"checkpoint": "x.safetensors"},
        },
        {"X-Correlation-Id": "c-1"},
    )
    assert response.status == 202
    job_id = response.json["jobId"]
    assert response.json == {"jobId": job_id, "status": "queued", "etaSeconds": 0, "pollUrl": f"/jobs/{job_id}"}
    assert str(uuid.UUID(job_id)) == job_id
    message = received(gateway).message
    assert (message.job_id, message.correlation_id) == (job_id, "c-1")
    assert message.prompt == {
        "3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 30, "model": ["4", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "a {{seed}} fox", "clip": ["4", 1]}},
    }
    job = gateway.wiring.jobs.get(job_id)
    assert job is not None
    assert (job.owner, job.workflow_version, job.correlation_id, job.seed) == ("ada", 1, "c-1", 7)
    assert job.inputs == {"prompt": "a {{seed}} fox", "seed": 7, "steps": 30, "width": 512}
    assert job.params == {"checkpoint": "x.safetensors"}


def test_the_estimate_uses_heartbeats(gateway: Gateway, ada: Caller) -> None:
    """With one busy executor, 10 s per run and nothing waiting, a new job ends after two runs."""
    now = SYSTEM_CLOCK.now()
    report = Heartbeat(
        id="e",
        version="1",
        last_seen_at=now,
        jobs=1,
        waiting=0,
        mean_run_ms=10_000,
        comfyui_url="http://127.0.0.1:8188",
        comfyui_reachable=True,
    )
    gateway.wiring.executors.put_heartbeat(report, expires_at=now)
    assert post(ada).json["etaSeconds"] == 20


def test_a_failing_estimate_accepts_nothing(gateway: Gateway, ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose caller gets an error must not run."""
    monkeypatch.setattr(gateway.wiring.executors, "heartbeats", lambda **_: 1 / 0)
    assert post(ada).status == 500
    assert_nothing_was_accepted(gateway)


@pytest.mark.parametrize("priority", Priority)
def test_the_priority_selects_the_queue(gateway: Gateway, ada: Caller, priority: Priority) -> None:
    """The message is in the queue of its priority, and the job shows the priority."""
    job_id = post(ada, priority=priority).json["jobId"]
    assert received(gateway, priority).message.job_id == job_id
    assert ada.get(f"/jobs/{job_id}").json["priority"] == priority


def test_a_random_seed_is_recorded(gateway: Gateway, ada: Caller) -> None:
    """The random seed in the prompt is the one that the job shows."""
    job_id = post(ada, inputs={"prompt": "x", "seed": -1}).json["jobId"]
    prompt = received(gateway).message.prompt
    assert prompt is not None
    seed = ada.get(f"/jobs/{job_id}").json["seed"]
    assert prompt["3"]["inputs"]["seed"] == seed >= 0


def test_a_large_prompt_is_stored_in_the_bucket(gateway: Gateway, ada: Caller) -> None:
    """A prompt above 128 KiB, in encoded bytes, is stored as an object that the message refers to."""
    text = "é" * (MAX_MESSAGE_PROMPT_BYTES // 2)
    job_id = post(ada, inputs={"prompt": text}).json["jobId"]
    message = received(gateway).message
    assert message.prompt is None
    assert message.prompt_key == f"prompts/{job_id}.json"
    assert json.loads(gateway.wiring.objects.get(message.prompt_key))["5"]["inputs"]["text"] == text
    assert post(ada, inputs={"prompt": "é" * (MAX_MESSAGE_PROMPT_BYTES // 4)}).status == 202
    assert received(gateway).message.prompt is not None


@pytest.mark.parametrize("text", ["\ufffe\uffff", "\x00\x1b[31m", "🦊" * 10_000, "</script>"])
def test_any_text_is_accepted_and_unchanged(gateway: Gateway, ada: Caller, text: str) -> None:
    """Control characters, noncharacters, emoji and markup survive the table and the queue."""
    job_id = post(ada, inputs={"prompt": text}, metadata={"note": text[:100]}).json["jobId"]
    prompt = received(gateway).message.prompt
    assert prompt is not None
    assert prompt["5"]["inputs"]["text"] == text
    assert ada.get(f"/jobs/{job_id}").json["metadata"] == {"note": text[:100]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"w"',
        b'{"workflowId": "w", "inputs": {"prompt": "\\ud800"}}',
        b'{"workflowId": "w", "inputs": {"prompt": "x", "steps": NaN}}',
        b'{"workflowId": "w", "inputs": {"prompt": "x"}, "metadata": {"a": 1e999}}',
        b'{"workflowId": "w", "inputs": {"prompt": "x", "steps": -1e999}}',
        b'{"workflowId": "w", "inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"workflowId": "w", "inputs": {"prompt": "\xff"}}',
        b"\x89PNG\r\n\x1a\n\x00",
        b'{"workflowId": "w", "inputs": {"prompt": "x", "seed": ' + b"9" * 5000 + b"}}",
    ],
    ids=range(13),
)
def test_malformed_json_is_400(gateway: Gateway, ada: Caller, body: bytes) -> None:
    """Invalid JSON, JSON that is not an object, and JSON that cannot be stored are a 400, never a 500."""
    response = ada.post("/jobs", body)
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert response.json["details"]["errors"]
    assert_nothing_was_accepted(gateway)


def test_the_body_size_is_limited(gateway: Gateway, ada: Caller) -> None:
    """The body has at most 1 MiB, in bytes; one byte more is 413."""
    start, end = b'{"workflowId": "w", "inputs": {"prompt": "', b'"}}'
    most = 1024 * 1024 - len(start) - len(end)
    assert ada.post("/jobs", start + b"x" * most + end).status == 400
    for content in (b"x" * (most + 1), "é".encode() * (most // 2 + 1)):
        response = ada.post("/jobs", start + content + end)
        assert (response.status, response.json["error"]) == (413, "PAYLOAD_TOO_LARGE")
    assert_nothing_was_accepted(gateway)


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"workflowId": 5}, ["workflowId"]),
        ({"workflowId": "../w"}, ["workflowId"]),
        ({"workflowId": "w" * 65}, ["workflowId"]),
        ({"inputs": []}, ["inputs"]),
        ({"params": 1, "priority": "urgent"}, ["params", "priority"]),
        ({"metadata": "x", "input": {}}, ["input", "metadata"]),
        ({"metadata": {str(i): i for i in range(51)}}, ["metadata"]),
        ({"metadata": {"a": "x" * 9000}}, ["metadata"]),
        ({"metadata": {"requestId": 5}}, ["metadata.requestId"]),
        ({"metadata": {"requestId": ""}}, ["metadata.requestId"]),
        ({"metadata": {"requestId": "x" * 256}}, ["metadata.requestId"]),
        ({"callbackUrl": "https://example.com"}, ["callbackUrl"]),
    ],
)
def test_invalid_fields_are_400(gateway: Gateway, ada: Caller, fields: dict[str, Any], paths: list[str]) -> None:
    """All invalid fields are reported at once, each by its path."""
    response = post(ada, **fields)
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert sorted(error["path"] for error in response.json["details"]["errors"]) == paths
    assert "dictionary" not in response.json["message"]  # a term of Python, not of JSON
    assert_nothing_was_accepted(gateway)


def test_all_invalid_inputs_are_reported(gateway: Gateway, ada: Caller) -> None:
    """Missing, invalid, too large and unknown inputs are reported in one response, and nothing is written."""
    response = post(ada, inputs={"steps": 0, "width": 4096, "promt": "x"}, params={"sampler": "euler"})
    assert response.status == 400
    assert sorted(error["path"] for error in response.json["details"]["errors"]) == [
        "inputs.prompt", "inputs.promt", "inputs.steps", "inputs.width", "params.sampler",
    ]  # fmt: skip
    assert all(error["message"] for error in response.json["details"]["errors"])
    assert_nothing_was_accepted(gateway)


def test_many_problems_make_a_short_response(gateway: Gateway, ada: Caller) -> None:
    """The response to a megabyte of unknown inputs stays below Lambda's limit."""
    response = post(ada, inputs={f"a{i}": 1 for i in range(80_000)})
    assert response.status == 400
    assert len(response.body) < 100_000
    assert_nothing_was_accepted(gateway)


def test_inputs_too_large_for_the_record_are_400(gateway: Gateway, ada: Caller) -> None:
    """Inputs that DynamoDB would reject are 400 before any write."""
    assert post(ada, inputs={"prompt": "\x00" * 50_000}).status == 400
    assert post(ada, inputs={"prompt": "x", "seed": 10**40}).status == 400
    assert_nothing_was_accepted(gateway)


def test_an_unknown_workflow_is_404(gateway: Gateway, ada: Caller) -> None:
    """The message names the unknown workflow."""
    response = post(ada, workflowId="unknown")
    assert (response.status, response.json["error"]) == (404, "WORKFLOW_NOT_FOUND")
    assert "unknown" in response.json["message"]
    assert_nothing_was_accepted(gateway)


def test_a_warm_function_makes_few_calls(aws_gateway: AwsGateway, ada: Caller) -> None:
    """Submitting costs four calls and a status two, including the rate limit; invalid requests cost no write."""
    post(ada)
    with aws_calls(aws_gateway.clients) as calls:
        job_id = post(ada).json["jobId"]
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem", "dynamodb.PutItem", "sqs.SendMessage"]
    with aws_calls(aws_gateway.clients) as calls:  # the cached result is read in the same call as the workflow
        post(ada, inputs={"prompt": "a fox", "seed": 7})
    assert calls == ["dynamodb.UpdateItem", "dynamodb.BatchGetItem", "dynamodb.PutItem", "sqs.SendMessage"]
    with aws_calls(aws_gateway.clients) as calls:
        ada.get(f"/jobs/{job_id}")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem"]
    with aws_calls(aws_gateway.clients) as calls:
        post(ada, inputs={})
        ada.get("/jobs/no-id")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem", "dynamodb.UpdateItem"]


def test_the_prompt_size_is_limited(gateway: Gateway) -> None:
    """A template that repeats an input many times cannot exceed the prompt size limit."""
    graph = {"1": {"class_type": "A", "inputs": {str(n): "{{prompt}} {{prompt}}" for n in range(40)}}}
    template = WorkflowTemplate.register(graph, {"properties": {"prompt": {"type": "string"}}}, None)
    gateway.wiring.workflows.create("w", "W", "", template, BY)
    response = post(gateway.ada, inputs={"prompt": "x" * 99_000})
    assert response.status == 400
    (problem,) = response.json["details"]["errors"]
    assert (problem["path"], "bytes" in problem["message"]) == ("inputs", True)
    assert stored_jobs(gateway) == []


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null"])
def test_a_body_that_is_not_an_object_is_400(ada: Caller, body: bytes) -> None:
    """A body that is not a JSON object is 400, with the API's own message."""
    response = ada.post("/jobs", body)
    (problem,) = response.json["details"]["errors"]
    assert (problem["path"], "JSON object" in problem["message"]) == ("", True)
