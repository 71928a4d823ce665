"""Callback URLs, the delivery status of webhooks, redelivery, and test webhooks."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook

from functions.webhooks.http_client import WebhookSender
from functions.webhooks.signing import owner_secret
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import ended_event_id
from gateway.domain.result_cache import CachedResult
from tests.component.api import Gateway, aws_calls
from tests.component.test_api_cache import cache_key_of
from tests.component.workflows import add_workflow, post, received, run, stored_jobs
from tests.webhooks.fake_resolver import FakeResolver
from tests.webhooks.harness import SECRET, SETTINGS, WebhookHarness
from tests.webhooks.receiver import Receiver, hangs, responds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.aws.clients import Clients
    from tests.component.api import Caller, Response

URL = "https://hooks.example.com/comfyui?token=t0ken"


@pytest.fixture
def deployed() -> Callable[..., Caller]:
    """Return a function that creates a user of a gateway with a fake DNS resolver."""

    def make(*names: Sequence[str] | None, **settings: str) -> Caller:
        gateway = Gateway.in_memory(**{"WEBHOOK_SECRET": SECRET, **settings})
        gateway.wiring.resolver = FakeResolver(*names or [["8.8.8.8"]])
        add_workflow(gateway)
        return gateway.ada

    return make


@pytest.fixture
def local(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Return a gateway that may send webhooks to this machine."""
    gateway = Gateway.on_aws(aws, aws_clients, **SETTINGS)
    add_workflow(gateway)
    gateway.wiring.sender = WebhookSender(gateway.wiring.callback_policy, gateway.wiring.resolver, seconds=0.5)
    return gateway


def invalid_url_message(response: Response, path: str) -> str:
    """Check for a 400 with one problem, at this path; return the problem's message."""
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    (problem,) = response.json["details"]["errors"]
    assert problem["path"] == path
    return str(problem["message"])


def test_an_accepted_callback_is_pending(deployed: Callable[..., Caller]) -> None:
    """An accepted callback shows as pending; its URL is not returned, because it may contain a token."""
    ada = deployed()
    job_id = post(ada, callbackUrl=URL).json["jobId"]
    response = ada.get(f"/jobs/{job_id}")
    assert response.json["webhook"] == {"status": "pending", "attempts": 0, "lastStatusCode": None}
    assert b"t0ken" not in response.body
    assert ada.get(f"/jobs/{job_id}/deliveries").json == {"jobId": job_id, "deliveries": []}
    assert ada.get("/jobs").json["jobs"][0]["webhook"]["status"] == "pending"
    assert ada.get(f"/jobs/{post(ada).json['jobId']}").json["webhook"] is None


def test_a_callback_costs_no_additional_calls(aws: dict[str, str], aws_clients: Clients) -> None:
    """Submitting costs four calls and a status two, as without a callback."""
    gateway = Gateway.on_aws(aws, aws_clients, WEBHOOK_SECRET=SECRET)
    gateway.wiring.resolver = FakeResolver(["8.8.8.8"])
    add_workflow(gateway)
    ada = gateway.ada
    post(ada)
    with aws_calls(aws_clients) as calls:
        job_id = post(ada, callbackUrl=URL).json["jobId"]
    assert len(calls) == 4
    with aws_calls(aws_clients) as calls:
        ada.get(f"/jobs/{job_id}")
    assert len(calls) == 2


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"], ["::1"], ["169.254.169.254"], ["fd00::1"], ["10.1.2.3"], ["100.64.1.1"], ["0.0.0.0"],  # noqa: S104  nothing binds to it
        ["::ffff:10.0.0.1"], ["64:ff9b::a00:1"], ["8.8.8.8", "10.0.0.1"], [],
    ],
    ids=str,
)  # fmt: skip
def test_hosts_with_private_addresses_are_rejected(deployed: Callable[..., Caller], addresses: list[str]) -> None:
    """One private address is enough to reject a host; an unknown host gets the same message."""
    ada = deployed(addresses)
    message = invalid_url_message(post(ada, callbackUrl=URL), "callbackUrl")
    assert "not found" in message
    assert "not public" in message
    assert stored_jobs(ada.gateway) == []


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.com/", "https://127.0.0.1/", "https://2130706433/", "https://a@b.example/", "x", ""],
)
def test_invalid_callback_urls_are_400(deployed: Callable[..., Caller], url: str) -> None:
    """An invalid callback URL is 400, and no job is created."""
    ada = deployed()
    assert invalid_url_message(post(ada, callbackUrl=url), "callbackUrl")
    assert stored_jobs(ada.gateway) == []


def test_input_and_callback_problems_are_reported_together(deployed: Callable[..., Caller]) -> None:
    """Problems of inputs and callback are in one response."""
    response = post(deployed(), inputs={"steps": 0}, callbackUrl="http://x/")
    paths = [error["path"] for error in response.json["details"]["errors"]]
    assert sorted(paths) == ["callbackUrl", "inputs.prompt", "inputs.steps"]


def test_allowed_domains_limit_the_hosts(deployed: Callable[..., Caller]) -> None:
    """With WEBHOOK_ALLOWED_DOMAINS, other hosts are rejected without a DNS query."""
    ada = deployed(WEBHOOK_ALLOWED_DOMAINS="hooks.example.com,*.partner.example")
    assert post(ada, callbackUrl=URL).status == 202
    assert post(ada, callbackUrl="https://a.partner.example/").status == 202
    invalid_url_message(post(ada, callbackUrl="https://partner.example/"), "callbackUrl")


def test_a_dns_failure_does_not_reject_a_job(deployed: Callable[..., Caller]) -> None:
    """If DNS fails, the job is accepted: the host is checked again at delivery."""
    assert post(deployed(None), callbackUrl=URL).status == 202


def test_a_slow_dns_server_does_not_delay_a_job(
    deployed: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If DNS does not respond within a second, the job is accepted."""
    release = threading.Event()

    def slow(_name: str) -> list[str]:
        release.wait(30)
        return []

    ada = deployed()
    del ada.gateway.wiring.resolver  # back to the system's
    monkeypatch.setattr("functions.webhooks.dns._resolve", slow)
    started = time.monotonic()
    assert post(ada, callbackUrl=URL).status == 202
    assert time.monotonic() - started < 10
    release.set()


def test_callbacks_require_a_webhook_secret(deployed: Callable[..., Caller]) -> None:
    """Without WEBHOOK_SECRET, a callback is 400, and the message names the setting."""
    ada = deployed(WEBHOOK_SECRET="")
    assert "WEBHOOK_SECRET" in invalid_url_message(post(ada, callbackUrl=URL), "callbackUrl")
    assert "WEBHOOK_SECRET" in invalid_url_message(ada.post("/webhooks/test", {"url": URL}), "url")


def test_a_retry_does_not_check_the_callback_again(deployed: Callable[..., Caller]) -> None:
    """A retry returns the first job, even if the host resolves to a private address by now."""
    ada = deployed(["8.8.8.8"], ["10.0.0.1"])
    key = {"metadata": {"requestId": "r-1"}}
    first = post(ada, callbackUrl=URL, **key)
    assert post(ada, callbackUrl=URL, **key).json == first.json
    assert post(ada, **key).status == 422


def test_delivery_attempts_are_listed(local: Gateway, aws: dict[str, str], aws_clients: Clients) -> None:
    """The job has the delivery status, the deliveries list every attempt, and a redelivery has the same id."""
    harness = WebhookHarness(aws, aws_clients)
    with Receiver(responds(500), responds(204)) as receiver:
        job_id = post(local.ada, callbackUrl=receiver.url).json["jobId"]
        received(local)
        harness.publish_event(run(local, job_id, {"a.png": b"x"}))
        (record,) = harness.messages()
        harness.process(record)
        state = local.ada.get(f"/jobs/{job_id}").json["webhook"]
        assert state == {"status": "retrying", "attempts": 1, "lastStatusCode": 500}
        harness.make_visible(record)
        harness.process_all()
        state = local.ada.get(f"/jobs/{job_id}").json["webhook"]
        assert state == {"status": "delivered", "attempts": 2, "lastStatusCode": 204}
        first, second = local.ada.get(f"/jobs/{job_id}/deliveries").json["deliveries"]
        assert (first["attempt"], first["statusCode"], "500" in first["error"]) == (1, 500, True)
        assert first["nextAttemptAt"] > first["timestamp"]
        assert (second["attempt"], second["statusCode"], second["error"]) == (2, 204, None)
        assert second["nextAttemptAt"] is None
        again = local.ada.post(f"/jobs/{job_id}/deliveries")
        assert (again.status, again.json["webhookId"]) == (202, ended_event_id(job_id))
        assert local.ada.get(f"/jobs/{job_id}").json["webhook"]["status"] == "pending"
        assert harness.process_all() == [True]
    assert receiver.ids == [ended_event_id(job_id)] * 3
    assert local.ada.get(f"/jobs/{job_id}").json["webhook"] == {**state, "attempts": 3}
    assert b"t0ken" not in local.ada.get(f"/jobs/{job_id}/deliveries").body


def test_a_cache_hit_sends_a_webhook(local: Gateway, aws: dict[str, str], aws_clients: Clients) -> None:
    """A cache hit ends at acceptance, so its webhook is sent."""
    harness = WebhookHarness(aws, aws_clients)
    with Receiver(responds(204)) as receiver:
        inputs = {"prompt": "a fox", "seed": 7}
        first = post(local.ada, inputs=inputs).json["jobId"]
        cache_key = cache_key_of(local, first)
        job = run(local, first, {"a.png": b"x"})
        cache_result(local, cache_key, first, job.outputs)
        hit = post(local.ada, inputs=inputs, callbackUrl=receiver.url).json
        assert hit["status"] == "cache_hit"
        assert harness.process_all() == [True]
    assert receiver.ids == [ended_event_id(hit["jobId"])]


def cache_result(gateway: Gateway, cache_key: str | None, job_id: str, outputs: Any) -> None:  # noqa: ANN401  the outputs of a job
    """Cache a result, as an executor does."""
    assert gateway.wiring.results is not None
    result = CachedResult(job_id=job_id, outputs=outputs)
    gateway.wiring.results.put(str(cache_key), result, expires_at=SYSTEM_CLOCK.now() + timedelta(hours=1))


def test_only_ended_jobs_with_a_callback_can_be_redelivered(local: Gateway) -> None:
    """Redelivery is 409 for a job that has not ended or has no callback."""
    plain = post(local.ada).json["jobId"]
    waiting = post(local.ada, callbackUrl="http://127.0.0.1:9/").json["jobId"]
    for job_id in (plain, waiting):
        response = local.ada.post(f"/jobs/{job_id}/deliveries")
        assert (response.status, response.json["error"]) == (409, "CONFLICT")
    local.ada.post(f"/jobs/{plain}/cancel")
    assert local.ada.post(f"/jobs/{plain}/deliveries").status == 409


def test_another_owners_deliveries_are_404(local: Gateway) -> None:
    """Other users get 404; an admin can list and redeliver."""
    job_id = post(local.ada, callbackUrl="http://127.0.0.1:9/").json["jobId"]
    local.ada.post(f"/jobs/{job_id}/cancel")
    for path in (f"/jobs/{job_id}/deliveries", "/jobs/no-id/deliveries"):
        for response in (local.bob.get(path), local.bob.post(path)):
            assert (response.status, response.json["error"]) == (404, "JOB_NOT_FOUND")
        assert local.anonymous.get(path).status == local.anonymous.post(path).status == 401
    assert local.admin.get(f"/jobs/{job_id}/deliveries").status == 200
    assert local.admin.post(f"/jobs/{job_id}/deliveries").status == 202


def test_a_test_webhook_returns_its_result(local: Gateway) -> None:
    """A test webhook is signed and sent at once, and the response has its result."""
    with Receiver(responds(201), responds(500), hangs()) as receiver:
        results = [local.ada.post("/webhooks/test", {"url": receiver.url}) for _ in range(3)]
    assert [response.status for response in results] == [200, 200, 200]
    good, bad, slow = (response.json for response in results)
    assert (good["delivered"], good["statusCode"], good["error"]) == (True, 201, None)
    assert (bad["delivered"], bad["statusCode"], "500" in bad["error"]) == (False, 500, True)
    assert (slow["delivered"], slow["statusCode"]) == (False, None)
    request = receiver.received[0]
    assert request.headers["webhook-id"] == good["webhookId"]
    allowed = Webhook(SECRET).verify(request.body, request.headers)
    assert allowed["event"] == "webhook.test"
    assert len(set(receiver.ids)) == 3


def test_a_test_webhook_has_the_fields_of_a_real_one(local: Gateway, aws: dict[str, str], aws_clients: Clients) -> None:
    """A test webhook has the same fields and headers as a real one."""
    harness = WebhookHarness(aws, aws_clients)
    with Receiver(responds(200)) as receiver:
        local.ada.post("/webhooks/test", {"url": receiver.url})
        harness.publish_event(harness.end_job(receiver.url))
        harness.process_all()
    sample, real = (json.loads(request.body) for request in receiver.received)
    assert sample.keys() == real.keys()
    assert sample["timing"].keys() == real["timing"].keys()
    assert receiver.received[0].headers.keys() == receiver.received[1].headers.keys()


def test_owners_can_have_their_own_secrets(aws: dict[str, str], aws_clients: Clients) -> None:
    """With WEBHOOK_SECRET_PER_OWNER, each owner's webhooks and test webhooks are signed with its own secret."""
    settings = {**SETTINGS, "WEBHOOK_SECRET_PER_OWNER": "true"}
    gateway, harness = Gateway.on_aws(aws, aws_clients, **settings), WebhookHarness(aws, aws_clients, **settings)
    with Receiver(responds(200)) as receiver:
        gateway.ada.post("/webhooks/test", {"url": receiver.url})
        harness.publish_event(harness.end_job(receiver.url, owner="ada"))
        harness.process_all()
        gateway.bob.post("/webhooks/test", {"url": receiver.url})
    *to_ada, to_bob = receiver.received
    for request in to_ada:
        Webhook(owner_secret(SECRET, "ada", 0)).verify(request.body, request.headers)
    Webhook(owner_secret(SECRET, "bob", 0)).verify(to_bob.body, to_bob.headers)


def test_test_webhooks_are_authenticated_validated_and_counted(
    local: Gateway, aws: dict[str, str], aws_clients: Clients
) -> None:
    """Test webhooks require authentication, have the URL rules of callbacks, and count for the rate limit."""
    assert local.anonymous.post("/webhooks/test", {"url": URL}).status == 401
    assert local.ada.get("/webhooks/test").status == 405
    invalid_url_message(local.ada.post("/webhooks/test", {"url": "https://10.0.0.1/"}), "url")
    invalid_url_message(local.ada.post("/webhooks/test", {"url": "x" * 3000}), "url")
    invalid_url_message(local.ada.post("/webhooks/test", {}), "url")
    limited = Gateway.on_aws(aws, aws_clients, **SETTINGS, RATE_LIMIT_MAX="1").bob
    assert limited.post("/webhooks/test", {"url": "https://10.0.0.1/"}).status == 400
    assert limited.post("/webhooks/test", {"url": "https://10.0.0.1/"}).status == 429
