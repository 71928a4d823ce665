"""The use case submit_job: records, messages, idempotency keys and cached results."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from functions.use_cases.delete_workflow import delete_workflow
from functions.use_cases.update_workflow import WorkflowChange, update_workflow
from gateway.domain.executor import HEARTBEAT_SECONDS, Heartbeat
from gateway.domain.job import JobStatus, Priority
from gateway.domain.result_cache import CachedResult
from gateway.errors import IdempotencyMismatchError, RequestInvalidError, WorkflowNotFoundError
from tests.use_cases.environment import BY, CALLBACK_URL, OUTPUT, Environment

if TYPE_CHECKING:
    from testing.ports import InMemoryPorts

KEY: dict[str, Any] = {"idempotency_key": "order-1"}
NOTHING: dict[str, Any] = dict.fromkeys(
    ("name", "description", "workflow_json", "input_schema", "default_params", "version")
)


def assert_nothing_was_accepted(env: Environment) -> None:
    """Check that there is no record, no message, and no event."""
    assert not env.ports.jobs.all()
    assert env.ports.queue.waiting() == 0
    assert not env.ports.events.published


@pytest.mark.parametrize("priority", Priority)
def test_a_job_is_a_record_and_a_message(env: Environment, priority: Priority) -> None:
    """The message is in the queue of its priority, and contains the rendered prompt."""
    job = env.submit(priority=priority).job
    assert env.ports.jobs.get(job.id) == job
    assert (job.status, job.inputs) == (JobStatus.QUEUED, {"prompt": "a fox", "steps": 30, "seed": 7})
    (message,) = env.messages(priority)
    assert (message.job_id, message.correlation_id) == (job.id, "c-1")
    assert message.prompt is not None
    assert message.prompt["5"]["inputs"]["text"] == "a fox"


def test_invalid_input_writes_nothing(env: Environment) -> None:
    """All problems are reported, including those of the callback URL."""
    with pytest.raises(RequestInvalidError) as caught:
        env.submit(inputs={"steps": 1000, "x": 1}, callback_url="ftp://x")
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {"inputs.prompt", "inputs.steps", "inputs.x", "callbackUrl"}
    assert_nothing_was_accepted(env)


def test_an_unknown_workflow(env: Environment) -> None:
    """An unknown workflow is an error, and nothing is written."""
    with pytest.raises(WorkflowNotFoundError):
        env.submit(workflow_id="unknown")
    assert_nothing_was_accepted(env)


def test_a_callback_requires_a_webhook_secret(env: Environment) -> None:
    """Without a webhook secret, a callback URL is rejected at submission."""
    with pytest.raises(RequestInvalidError):
        env.submit(env.submitter(webhooks=False), callback_url=CALLBACK_URL)
    assert env.submit(callback_url=CALLBACK_URL).job.callback_url == CALLBACK_URL


def test_a_private_job_stores_no_input(env: Environment) -> None:
    """The prompt of a private job is in the encrypted queue only, and its message is marked."""
    job = env.submit(env.submitter(private=True)).job
    assert (job.private, job.inputs, job.params) == (True, None, {})
    (message,) = env.messages()
    assert message.private
    assert message.prompt is not None


def test_a_large_prompt_is_stored_as_an_object(env: Environment) -> None:
    """The message contains the object key instead; a private job's prompt stays in the message."""
    text = "x" * 99_000
    graph = {"1": {"class_type": "A", "inputs": {"a": "{{prompt}}", "b": "{{prompt}}"}}}
    update_workflow(env.ports.workflows, "w", WorkflowChange(**{**NOTHING, "workflow_json": graph}), BY)
    env.submit(inputs={"prompt": text})
    env.submit(env.submitter(private=True), inputs={"prompt": text})
    public, private = env.messages()
    assert public.prompt is None
    assert text.encode() in env.ports.objects.get(str(public.prompt_key))
    assert (private.prompt is None, private.prompt_key) == (False, None)


def test_a_retry_returns_the_same_job(env: Environment) -> None:
    """The retry sends the same message again, seed included: the first one may never have been sent."""
    jobs = [env.submit(**KEY, inputs={"prompt": "a fox", "seed": -1}).job for _ in range(2)]
    assert jobs[0] == jobs[1]
    assert len(env.ports.jobs.all()) == 1
    first, second = env.messages()
    assert first == second


def test_a_retry_of_a_running_job_sends_no_message(env: Environment) -> None:
    """Only a queued job needs its message."""
    job = env.submit(**KEY).job
    env.claim(job)
    env.messages()
    assert env.submit(**KEY).job.status is JobStatus.RUNNING
    assert env.messages() == []


def test_a_key_with_another_request_is_an_error(env: Environment) -> None:
    """The same key with another request is an error, also if only the callback differs."""
    env.submit(**KEY)
    for change in ({"inputs": {"prompt": "an owl"}}, {"callback_url": CALLBACK_URL}):
        with pytest.raises(IdempotencyMismatchError):
            env.submit(**KEY, **change)


def test_keys_are_per_owner(env: Environment) -> None:
    """Keys are per owner."""
    assert env.submit(**KEY).job.id != env.submit(**KEY, owner="bob").job.id


def test_a_retry_returns_its_job_after_the_workflow_is_deleted(env: Environment) -> None:
    """A retry sends the first request's message after the workflow was deleted; a new request fails."""
    job = env.submit(**KEY).job
    delete_workflow(env.ports.workflows, "w", BY)
    assert env.submit(**KEY).job == job
    first, second = env.messages()
    assert first == second
    with pytest.raises(WorkflowNotFoundError):
        env.submit()


def test_a_new_version_is_used_at_once(env: Environment) -> None:
    """A process with a cached head detects the new version and plans again."""
    submitter = env.submitter()
    assert env.submit(submitter).job.workflow_version == 1
    graph = {"1": {"class_type": "Other", "inputs": {"text": "{{prompt}}"}}}
    update_workflow(env.ports.workflows, "w", WorkflowChange(**{**NOTHING, "workflow_json": graph}), BY)
    assert env.submit(submitter).job.workflow_version == 2
    assert [set(message.prompt or ()) for message in env.messages()] == [{"3", "5"}, {"1"}]


def cache_result(env: Environment, **fields: Any) -> None:  # noqa: ANN401  the fields of a submission
    """Run a job and store its result, as an executor does."""
    job = env.submit(**fields).job
    env.messages()
    result = CachedResult(job_id=job.id, outputs=(replace(OUTPUT, key=f"outputs/{job.id}/a.png"),))
    env.ports.objects.put(result.outputs[0].key, b"png", content_type="image/png")
    env.ports.results.put(str(job.cache_key), result, expires_at=env.clock.now() + timedelta(hours=1))


def test_an_equal_job_gets_the_cached_result(env: Environment) -> None:
    """It has ended when it is accepted: no message is sent, and the event is published."""
    cache_result(env)
    job = env.submit().job
    assert (job.status, job.cache_hit, job.completed_at) == (JobStatus.SUCCEEDED, True, job.created_at)
    assert job.outputs
    assert env.messages() == []
    assert [event.job_id for event in env.ports.events.published] == [job.id]


def test_different_requests_are_a_cache_miss(env: Environment) -> None:
    """Another input, another owner, or a random seed is a cache miss."""
    cache_result(env)
    for change in ({"inputs": {"prompt": "an owl"}}, {"owner": "bob"}, {"inputs": {"prompt": "a fox", "seed": -1}}):
        assert not env.submit(**change).job.cache_hit


def test_a_shared_cache_serves_all_owners(env: Environment) -> None:
    """With a shared cache, another owner's equal job is a hit."""
    shared = env.submitter(shared=True)
    cache_result(env, submitter=shared)
    assert env.submit(shared, owner="bob").job.cache_hit


def test_a_result_with_deleted_outputs_is_a_cache_miss(env: Environment) -> None:
    """A result whose object was deleted from the bucket is a cache miss."""
    job = env.submit().job
    env.ports.results.put(
        str(job.cache_key),
        CachedResult(job_id=job.id, outputs=(OUTPUT,)),
        expires_at=env.clock.now() + timedelta(hours=1),
    )
    assert not env.submit().job.cache_hit


def test_a_retry_of_a_cache_hit_publishes_its_event_again(env: Environment) -> None:
    """The first request may have failed before publishing; a duplicate is harmless, since the event id is the same."""
    cache_result(env)
    jobs = [env.submit(**KEY).job for _ in range(2)]
    assert jobs[0] == jobs[1]
    first, second = env.ports.events.published
    assert first.event_id == second.event_id


def heartbeat(env: Environment, **fields: Any) -> None:  # noqa: ANN401  the fields of a heartbeat
    """Write an executor's heartbeat."""
    usual: dict[str, Any] = {"jobs": 1, "waiting": 0, "mean_run_ms": 10_000}
    env.ports.executors.put_heartbeat(
        Heartbeat(
            id="e",
            version="1",
            last_seen_at=env.clock.now(),
            comfyui_url="http://127.0.0.1:8188",
            comfyui_reachable=True,
            **{**usual, **fields},
        ),
        expires_at=env.clock.now() + timedelta(days=1),
    )


def test_heartbeats_are_read_once_per_interval(env: Environment) -> None:
    """A process reads heartbeats no more often than executors write them."""
    submitter = env.submitter()
    heartbeat(env)
    first = env.submit(submitter).eta_seconds
    assert first > 0
    heartbeat(env, waiting=50)
    assert env.submit(submitter).eta_seconds == first
    env.clock.advance(HEARTBEAT_SECONDS)
    heartbeat(env, waiting=50)
    assert env.submit(submitter).eta_seconds > first


def test_a_failing_estimate_accepts_nothing(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose caller gets an error must not run."""
    monkeypatch.setattr(env.ports.executors, "heartbeats", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        env.submit()
    assert_nothing_was_accepted(env)


def test_a_retry_recovers_from_a_queue_failure(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets an error, and the same request sends the message of the same job."""

    def broken(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(env.ports.queue, "send", broken)
        with pytest.raises(ConnectionError):
            env.submit(**KEY)
    job = env.submit(**KEY).job
    assert [message.job_id for message in env.messages()] == [job.id]
    assert len(env.ports.jobs.all()) == 1


def test_a_put_repeated_by_boto3_is_not_a_conflict(
    env: Environment, ports: InMemoryPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the response to the put is lost, boto3 repeats it: the job is this request's own, and gets its message."""
    create = ports.jobs.create
    monkeypatch.setattr(ports.jobs, "create", lambda job: (create(job), create(replace(job)))[1])
    job = env.submit().job
    assert [message.job_id for message in env.messages()] == [job.id]


def test_a_job_that_loads_files_of_the_host_is_not_cached(env: Environment) -> None:
    """Another file can have the same name when an equal job comes."""
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "{{prompt}}"}},
    }
    assert env.submit().job.cache_key is not None
    schema = {"properties": {"prompt": {"type": "string"}}}
    update_workflow(
        env.ports.workflows, "w", WorkflowChange(**{**NOTHING, "workflow_json": graph, "input_schema": schema}), BY
    )
    assert env.submit().job.cache_key is None


@pytest.mark.parametrize("value", ["x" * 99_000, "\0" * 30_000, "🦊" * 50_000])
@pytest.mark.parametrize("text", ["{{prompt}}", "about {{prompt}}"])
def test_a_prompt_that_is_too_large_is_refused_before_it_is_rendered(env: Environment, value: str, text: str) -> None:
    """One input in nine thousand places would have a gigabyte; a function has half of that."""
    graph = {"1": {"class_type": "A", "inputs": {f"i{number}": text for number in range(9_000)}}}
    schema = {"properties": {"prompt": {"type": "string"}}}
    update_workflow(
        env.ports.workflows, "w", WorkflowChange(**{**NOTHING, "workflow_json": graph, "input_schema": schema}), BY
    )
    submitter = env.submitter()
    env.submit(submitter)
    tracemalloc.start()
    try:
        with pytest.raises(RequestInvalidError):
            env.submit(submitter, inputs={"prompt": value})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000


def test_the_largest_prompt_needs_little_memory(env: Environment) -> None:
    """Text with characters of four bytes is the most expensive; a function has 512 MiB."""
    graph = {"1": {"class_type": "A", "inputs": {f"i{number}": "🦊 {{prompt}}" for number in range(42)}}}
    schema = {"properties": {"prompt": {"type": "string"}}}
    update_workflow(
        env.ports.workflows, "w", WorkflowChange(**{**NOTHING, "workflow_json": graph, "input_schema": schema}), BY
    )
    submitter = env.submitter()
    tracemalloc.start()
    try:
        env.submit(submitter, inputs={"prompt": "x" * 99_000})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000
