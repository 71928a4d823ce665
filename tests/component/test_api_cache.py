"""The result cache: equal jobs share files, and nothing else."""

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


def made(gateway: Gateway, caller: Caller, *, seconds: float = 60, **fields: Any) -> str:  # noqa: ANN401  a body's
    """Have a job made, and its result kept as an executor does."""
    response = post(caller, **{"inputs": FIXED, **fields})
    assert response.status == 202, response.json
    job_id = str(response.json["jobId"])
    cache_key = cache_key_of(gateway, job_id)
    job = run(gateway, job_id, {"a.png": b"picture"})
    assert gateway.wiring.results is not None
    assert cache_key is not None
    kept = CachedResult(job_id=job.id, outputs=job.outputs or ())
    gateway.wiring.results.put(cache_key, kept, expires_at=SYSTEM_CLOCK.now() + timedelta(seconds=seconds))
    while (message := gateway.wiring.queue.receive(Priority.NORMAL, wait_seconds=0)) is not None:
        gateway.wiring.queue.delete(message)
    return job_id


def cache_key_of(gateway: Gateway, job_id: str) -> str | None:
    """Read under which key a job's result is to be kept."""
    job = gateway.wiring.jobs.get(job_id)
    assert job is not None
    return job.cache_key


def again(caller: Caller, **fields: Any) -> Response:  # noqa: ANN401  a body's fields
    """Ask for the same once more."""
    return post(caller, **{"inputs": FIXED, **fields})


def test_an_equal_job_is_answered_with_the_files(gateway: Gateway, ada: Caller) -> None:
    """200, a job of its own that has succeeded, and nothing in the queue."""
    first = made(gateway, ada)
    response = again(ada)
    assert (response.status, response.json["status"]) == (200, "cache_hit")
    job_id = response.json["jobId"]
    assert job_id != first
    assert response.json["pollUrl"] == f"/jobs/{job_id}"
    job = ada.get(f"/jobs/{job_id}").json
    assert (job["status"], job["cacheHit"], job["progress"], job["attempts"]) == ("succeeded", True, 100, 0)
    assert [output["sha256"] for output in job["outputs"]] == [output["sha256"] for output in response.json["outputs"]]
    assert ada.get(f"/outputs/{job_id}/a.png").body == b"picture"
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
def test_what_makes_no_difference_is_a_hit(gateway: Gateway, ada: Caller, fields: dict[str, Any]) -> None:
    """Order, defaults spelled out, equal numbers, priority and metadata change no picture."""
    made(gateway, ada)
    assert again(ada, **fields).json["status"] == "cache_hit"


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
def test_what_makes_a_difference_is_none(gateway: Gateway, ada: Caller, fields: dict[str, Any]) -> None:
    """Another seed (a drawn one too), another text, step or checkpoint is another picture."""
    made(gateway, ada)
    assert again(ada, **fields).status == 202


def test_who_has_the_seed_drawn_wants_a_new_picture(gateway: Gateway, ada: Caller) -> None:
    """Nothing is looked for, and nothing kept, until somebody asks for that very seed."""
    drawn = post(ada).json["jobId"]
    assert cache_key_of(gateway, drawn) is None
    seed = ada.get(f"/jobs/{drawn}").json["seed"]
    same = post(ada, inputs={"prompt": "a fox", "seed": seed})
    assert same.status == 202
    assert cache_key_of(gateway, same.json["jobId"]) is not None


def test_a_new_version_makes_new_results(gateway: Gateway, ada: Caller) -> None:
    """Also for a function that knows the old version and takes head and result in one call."""
    made(gateway, ada)
    assert gateway.admin.send("PUT", "/workflows/w", b'{"name": "Other"}').status == 200
    assert again(ada).status == 202
    gateway.admin.send("DELETE", "/workflows/w")
    assert again(ada).status == 404


def test_an_owners_results_are_its_own(gateway: Gateway, ada: Caller) -> None:
    """Another owner's equal job runs, and does not learn that the picture exists."""
    made(gateway, ada)
    assert again(gateway.bob).status == 202


def test_results_can_be_shared(aws: dict[str, str], aws_clients: Clients) -> None:
    """With CACHE_SCOPE=global, and the files are readable through the new owner's job."""
    gateway = Gateway.on_aws(aws, aws_clients, CACHE_SCOPE="global")
    add_workflow(gateway)
    made(gateway, gateway.ada)
    response = again(gateway.bob)
    assert response.json["status"] == "cache_hit"
    assert gateway.bob.get(f"/outputs/{response.json['jobId']}/a.png").body == b"picture"


def test_the_cache_can_be_off(aws: dict[str, str], aws_clients: Clients) -> None:
    """With CACHE_ENABLED=false every job runs, and none is marked to be kept."""
    gateway = Gateway.on_aws(aws, aws_clients, CACHE_ENABLED="false")
    add_workflow(gateway)
    job_id = again(gateway.ada).json["jobId"]
    assert cache_key_of(gateway, job_id) is None
    assert again(gateway.ada).status == 202


def test_a_result_whose_files_are_gone_is_none(aws_gateway: AwsGateway, ada: Caller) -> None:
    """Somebody emptied the bucket: the job runs again."""
    first = made(aws_gateway, ada)
    key = ada.get(f"/jobs/{first}").json["outputs"][0]["storagePath"]
    aws_gateway.clients.s3.delete_object(Bucket=aws_gateway.wiring.settings.bucket_name, Key=key)
    assert again(ada).status == 202


def test_an_old_result_is_none(gateway: Gateway, ada: Caller) -> None:
    """What has expired is not used, even while DynamoDB has not removed it yet."""
    made(gateway, ada, seconds=-1)
    assert again(ada).status == 202


def test_a_hit_under_an_idempotency_key_is_the_same_hit(gateway: Gateway, ada: Caller) -> None:
    """A retry of a request that was a hit answers with that job."""
    made(gateway, ada)
    key: dict[str, Any] = {"metadata": {"requestId": "r-1"}}
    first, second = again(ada, **key), again(ada, **key)
    assert first.json["jobId"] == second.json["jobId"]
    assert (second.status, second.json["status"]) == (200, "cache_hit")


def test_a_retry_of_a_job_that_ran_is_no_hit(gateway: Gateway, ada: Caller) -> None:
    """Its key stands for the job that ran, whatever the cache holds by now."""
    key: dict[str, Any] = {"metadata": {"requestId": "r-1"}}
    first = made(gateway, ada, **key)
    response = again(ada, **key)
    assert (response.status, response.json["jobId"]) == (202, first)
    assert gateway.wiring.jobs.get(first).status is JobStatus.SUCCEEDED  # type: ignore[union-attr]  # it is there
