"""The result cache: equal jobs share outputs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import JobStatus, Priority
from gateway.domain.result_cache import CachedResult
from tests.component.api import AwsGateway, Gateway
from tests.component.workflows import add_workflow, post, run

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from tests.component.api import Caller, Response

FIXED: dict[str, Any] = {"prompt": "a fox", "seed": 7}


def run_and_cache(gateway: Gateway, caller: Caller, *, seconds: float = 60, **fields: Any) -> str:  # noqa: ANN401  the fields of a body
    """Submit and run a job, and cache its result as an executor does."""
    response = post(caller, **{"inputs": FIXED, **fields})
    assert response.status == 202, response.json
    job_id = str(response.json["jobId"])
    cache_key = cache_key_of(gateway, job_id)
    job = run(gateway, job_id, {"a.png": b"png"})
    assert gateway.wiring.results is not None
    assert cache_key is not None
    result = CachedResult(job_id=job.id, outputs=job.outputs or ())
    gateway.wiring.results.put(cache_key, result, expires_at=SYSTEM_CLOCK.now() + timedelta(seconds=seconds))
    while (message := gateway.wiring.queue.receive(Priority.NORMAL, wait_seconds=0)) is not None:
        gateway.wiring.queue.delete(message)
    return job_id


def cache_key_of(gateway: Gateway, job_id: str) -> str | None:
    """Return the key under which a job's result will be cached."""
    job = gateway.wiring.jobs.get(job_id)
    assert job is not None
    return job.cache_key


def resubmit(caller: Caller, **fields: Any) -> Response:  # noqa: ANN401  the fields of a body
    """Submit the same job again."""
    return post(caller, **{"inputs": FIXED, **fields})


def test_an_equal_job_is_a_cache_hit(gateway: Gateway, ada: Caller) -> None:
    """The response is 200 with a new job that has succeeded, and no message is sent."""
    first = run_and_cache(gateway, ada)
    response = resubmit(ada)
    assert (response.status, response.json["status"]) == (200, "cache_hit")
    job_id = response.json["jobId"]
    assert job_id != first
    assert response.json["pollUrl"] == f"/jobs/{job_id}"
    job = ada.get(f"/jobs/{job_id}").json
    assert (job["status"], job["cacheHit"], job["progress"], job["attempts"]) == ("succeeded", True, 100, 0)
    assert [output["sha256"] for output in job["outputs"]] == [output["sha256"] for output in response.json["outputs"]]
    assert ada.get(f"/outputs/{job_id}/a.png").body == b"png"
    assert gateway.wiring.queue.receive(Priority.NORMAL, wait_seconds=0) is None
    assert "cache" in ada.get(f"/jobs/{job_id}/logs").json["logs"][-1]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": {"prompt": "a fox", "seed": 7.0}},
        {"inputs": {"seed": 7, "prompt": "a fox", "steps": 30}},
        {"params": {"checkpoint": "base.safetensors"}},
        {"priority": "high"},
        {"metadata": {"note": "mine"}},
    ],
)
def test_equivalent_requests_are_a_cache_hit(gateway: Gateway, ada: Caller, fields: dict[str, Any]) -> None:
    """Field order, explicit defaults, equal numbers, priority and metadata are not part of the cache key."""
    run_and_cache(gateway, ada)
    assert resubmit(ada, **fields).json["status"] == "cache_hit"


@pytest.mark.parametrize(
    "fields",
    [
        {"inputs": {"prompt": "a fox", "seed": 8}},
        {"inputs": {"prompt": "a fox"}},
        {"inputs": {"prompt": "A fox", "seed": 7}},
        {"inputs": {**FIXED, "steps": 31}},
        {"params": {"checkpoint": "other.safetensors"}},
    ],
)
def test_different_requests_are_a_cache_miss(gateway: Gateway, ada: Caller, fields: dict[str, Any]) -> None:
    """Another seed, also a random one, another prompt, step count or checkpoint is a cache miss."""
    run_and_cache(gateway, ada)
    assert resubmit(ada, **fields).status == 202


def test_random_seeds_bypass_the_cache(gateway: Gateway, ada: Caller) -> None:
    """A job with a random seed is neither looked up nor cached; a later job with that fixed seed can be cached."""
    drawn = post(ada).json["jobId"]
    assert cache_key_of(gateway, drawn) is None
    seed = ada.get(f"/jobs/{drawn}").json["seed"]
    same = post(ada, inputs={"prompt": "a fox", "seed": seed})
    assert same.status == 202
    assert cache_key_of(gateway, same.json["jobId"]) is not None


def test_a_new_workflow_version_is_a_cache_miss(gateway: Gateway, ada: Caller) -> None:
    """A new version misses the cache, also in a function that reads head and result in one call."""
    run_and_cache(gateway, ada)
    assert gateway.admin.send("PUT", "/workflows/w", b'{"name": "Other"}').status == 200
    assert resubmit(ada).status == 202
    gateway.admin.send("DELETE", "/workflows/w")
    assert resubmit(ada).status == 404


def test_results_are_not_shared_between_owners(gateway: Gateway, ada: Caller) -> None:
    """Another owner's equal job runs: a hit would reveal that the output exists."""
    run_and_cache(gateway, ada)
    assert resubmit(gateway.bob).status == 202


def test_a_global_cache_is_shared_between_owners(aws: dict[str, str], aws_clients: Clients) -> None:
    """With CACHE_SCOPE=global, other owners get hits and can read the outputs through their own jobs."""
    gateway = Gateway.on_aws(aws, aws_clients, CACHE_SCOPE="global")
    add_workflow(gateway)
    run_and_cache(gateway, gateway.ada)
    response = resubmit(gateway.bob)
    assert response.json["status"] == "cache_hit"
    assert gateway.bob.get(f"/outputs/{response.json['jobId']}/a.png").body == b"png"


def test_the_cache_can_be_disabled(aws: dict[str, str], aws_clients: Clients) -> None:
    """With CACHE_ENABLED=false every job runs, and none has a cache key."""
    gateway = Gateway.on_aws(aws, aws_clients, CACHE_ENABLED="false")
    add_workflow(gateway)
    job_id = resubmit(gateway.ada).json["jobId"]
    assert cache_key_of(gateway, job_id) is None
    assert resubmit(gateway.ada).status == 202


def test_a_result_with_deleted_outputs_is_a_cache_miss(aws_gateway: AwsGateway, ada: Caller) -> None:
    """If an output was deleted from the bucket, the job runs again."""
    first = run_and_cache(aws_gateway, ada)
    key = ada.get(f"/jobs/{first}").json["outputs"][0]["storagePath"]
    aws_gateway.clients.s3.delete_object(Bucket=aws_gateway.wiring.settings.bucket_name, Key=key)
    assert resubmit(ada).status == 202


def test_an_expired_result_is_a_cache_miss(gateway: Gateway, ada: Caller) -> None:
    """An expired result is not used, even if DynamoDB has not deleted it yet."""
    run_and_cache(gateway, ada, seconds=-1)
    assert resubmit(ada).status == 202


def test_a_retry_of_a_cache_hit_returns_the_same_job(gateway: Gateway, ada: Caller) -> None:
    """A retry of a request that was a hit returns the same job."""
    run_and_cache(gateway, ada)
    key: dict[str, Any] = {"metadata": {"requestId": "r-1"}}
    first, second = resubmit(ada, **key), resubmit(ada, **key)
    assert first.json["jobId"] == second.json["jobId"]
    assert (second.status, second.json["status"]) == (200, "cache_hit")


def test_a_retry_of_a_job_that_ran_is_not_a_cache_hit(gateway: Gateway, ada: Caller) -> None:
    """The idempotency key returns the job that ran, although its result is cached now."""
    key: dict[str, Any] = {"metadata": {"requestId": "r-1"}}
    first = run_and_cache(gateway, ada, **key)
    response = resubmit(ada, **key)
    assert (response.status, response.json["jobId"]) == (202, first)
    assert gateway.wiring.jobs.get(first).status is JobStatus.SUCCEEDED  # type: ignore[union-attr]  # it exists
