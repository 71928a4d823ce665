"""Rate limits: headers, 429 responses, and counters in DynamoDB."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import jwt
import pytest

from functions.http.rate_limit import RateLimiter
from functions.wiring.workflows import WorkflowWiring
from gateway.aws.dynamodb.rate_limit_store import DynamoRateLimitStore
from gateway.settings import ApiSettings
from testing.clock import FakeClock
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import run_concurrently
from tests.component.workflows import stored_jobs

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.aws.clients import Clients
    from tests.component.api import Response

    MakeGateway = Callable[..., AwsGateway]

DAY_MS = "86400000"
SECRET = "a secret of the tests, 32 bytes long"
LIMIT, REMAINING, RESET = "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"


@pytest.fixture
def limited(aws: dict[str, str], aws_clients: Clients) -> MakeGateway:
    """Return a function that creates gateways of one deployment with a limit."""

    def make(limit: int, **settings: str) -> AwsGateway:
        return Gateway.on_aws(aws, aws_clients, RATE_LIMIT_MAX=str(limit), RATE_LIMIT_WINDOW_MS=DAY_MS, **settings)

    return make


def assert_limited(response: Response) -> None:
    """Check for a 429 with the documented fields and headers."""
    assert (response.status, response.json["error"], response.json["retryable"]) == (429, "RATE_LIMITED", True)
    assert 0 < int(response.headers["retry-after"]) <= 86400
    assert response.headers[REMAINING] == "0"


def test_every_response_has_the_rate_limit_headers(limited: MakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request counts, and every response has the headers: successes, errors and public paths."""
    gateway = limited(50)
    anonymous = [
        gateway.anonymous.send(method, path, headers=headers)
        for method, path, headers in [
            ("GET", "/health", {}),
            ("GET", "/workflows", {}),
            ("GET", "/workflows", {"X-API-Key": "wrong"}),
            ("GET", "/nothing", {}),
            ("POST", "/health", {}),
        ]
    ]
    assert [response.status for response in anonymous] == [200, 401, 401, 404, 405]
    signed_in = [gateway.ada.get("/jobs/x"), gateway.ada.post("/jobs", b"{"), gateway.ada.post("/workflows")]
    monkeypatch.setattr(gateway.wiring.workflows, "heads", lambda: 1 / 0)
    signed_in.append(gateway.ada.get("/workflows"))
    assert [response.status for response in signed_in] == [404, 400, 403, 500]
    for responses in (anonymous, signed_in):
        assert {response.headers[LIMIT] for response in responses} == {"50"}
        assert [response.headers[REMAINING] for response in responses] == ["49", "48", "47", "46", "45"][
            : len(responses)
        ]
        assert all(0 < int(response.headers[RESET]) - time.time() <= 86401 for response in responses)
        assert not any("retry-after" in response.headers for response in responses)


def test_over_the_limit_every_path_is_429(limited: MakeGateway) -> None:
    """Over the limit, every path and method is 429, and nothing is processed."""
    gateway = limited(1)
    assert gateway.ada.get("/workflows").status == 200
    for method, path in [
        ("GET", "/workflows"),
        ("POST", "/jobs"),
        ("GET", "/health"),
        ("GET", "/no"),
        ("PUT", "/jobs"),
    ]:
        assert_limited(gateway.ada.send(method, path))
    assert stored_jobs(gateway) == []


def test_each_key_has_its_own_limit(limited: MakeGateway) -> None:
    """A caller over its limit does not affect others, and cannot evade the limit with another address."""
    gateway = limited(1)
    assert [gateway.ada.get("/workflows").status for _ in range(2)] == [200, 429]
    assert [gateway.bob.get("/workflows").status for _ in range(2)] == [200, 429]
    assert [gateway.anonymous.get("/health").status for _ in range(2)] == [200, 429]
    gateway.source_ip = "192.0.2.2"
    assert gateway.ada.get("/workflows").status == 429


def test_tokens_are_counted_by_subject(limited: MakeGateway) -> None:
    """All tokens of a subject share a limit; a key of an owner with the same name has another."""
    gateway = limited(2, JWT_SECRET=SECRET)

    def send(subject: str, seconds: int) -> int:
        claims = {"sub": subject, "role": "user", "exp": int(time.time()) + seconds}
        return gateway.anonymous.get("/workflows", {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}).status

    assert [send("ada", seconds) for seconds in (60, 70, 80)] == [200, 200, 429]
    assert send("bob", 60) == 200
    assert gateway.ada.get("/workflows").status == 200


def test_invalid_credentials_are_counted_by_address(limited: MakeGateway) -> None:
    """Guessing keys is limited per address; valid keys from that address still work."""
    gateway = limited(3)
    tried = [gateway.anonymous.get("/workflows", {"X-API-Key": f"guess-{number}"}).status for number in range(5)]
    assert tried == [401, 401, 401, 429, 429]
    assert gateway.ada.get("/workflows").status == 200
    gateway.source_ip = "2001:db8::1"
    assert gateway.anonymous.get("/workflows", {"X-API-Key": "guess"}).status == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"])
def test_address_headers_are_ignored(limited: MakeGateway, header: str) -> None:
    """Headers cannot change the address that a client is counted by."""
    gateway = limited(2)
    responses = [gateway.anonymous.get("/health", {header: f"198.51.100.{number}"}).status for number in range(3)]
    assert responses == [200, 200, 429]


def test_a_limit_of_zero_disables_counting(limited: MakeGateway) -> None:
    """A limit of 0 disables counting: no call and no headers."""
    gateway = limited(0)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        response = gateway.ada.get("/workflows")
    assert calls == ["dynamodb.Query"]
    assert not [name for name in response.headers if "ratelimit" in name]
    assert gateway.stored("RATE#") == []


def test_requests_over_the_limit_cost_no_calls(limited: MakeGateway) -> None:
    """A function caches that a caller's window is used up, and makes no calls until it ends."""
    gateway = limited(1)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        for _ in range(5):
            assert_limited(gateway.ada.get("/workflows"))
    assert calls == []


def test_options_are_not_counted(limited: MakeGateway) -> None:
    """Preflight requests cost no calls and do not count."""
    gateway = limited(1)
    with aws_calls(gateway.clients) as calls:
        responses = [
            gateway.anonymous.send("OPTIONS", path) for path in ("/jobs", "/health", "/workflows/w", "/nothing")
        ]
    assert calls == []
    assert [response.status for response in responses] == [204, 204, 204, 404]
    assert gateway.anonymous.get("/health").status == 200


def test_a_counting_failure_rejects_the_request(limited: MakeGateway, aws: dict[str, str]) -> None:
    """If counting fails, the response is a retryable 500 with no remaining requests."""
    gateway = limited(5)
    gateway.clients.dynamodb.delete_table(TableName=aws["TABLE_NAME"])
    response = gateway.anonymous.get("/health")
    assert (response.status, response.json["error"], response.json["retryable"]) == (500, "INTERNAL_ERROR", True)
    assert (response.headers[LIMIT], response.headers[REMAINING]) == ("5", "0")


def test_the_limit_is_exact_across_instances(aws: dict[str, str]) -> None:
    """Of 64 requests from 8 threads on two instances, exactly the limit passes."""
    settings = ApiSettings.from_environment({**aws, "RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": DAY_MS})
    limiters = [WorkflowWiring(settings).limiter for _ in range(2)]

    def send_eight(number: int) -> int:
        limiter = limiters[number % 2]
        assert limiter
        return sum(not limiter.count("KEY#k").exceeded for _ in range(8))

    assert sum(run_concurrently(8, send_eight)) == 20


def test_instances_share_counters(limited: MakeGateway) -> None:
    """Requests accepted by one instance count at the other."""
    first, second = limited(3), limited(3)
    responses = [instance.ada.get("/workflows") for instance in (first, second, first, second)]
    assert [response.status for response in responses] == [200, 200, 200, 429]
    assert [response.headers[REMAINING] for response in responses] == ["2", "1", "0", "0"]


def test_counters_expire(aws: dict[str, str], aws_clients: Clients) -> None:
    """A counter has a time to live; the next window has another counter."""
    store = DynamoRateLimitStore(aws_clients.dynamodb, aws["TABLE_NAME"])
    clock = FakeClock(datetime.fromtimestamp(1_700_000_040, UTC))
    limiter = RateLimiter(store, clock, limit=1, window_ms=60_000)
    subject = f"IP#{uuid.uuid4()}"
    assert [limiter.count(subject).exceeded for _ in range(2)] == [False, True]
    clock.advance(60)
    assert not limiter.count(subject).exceeded
    items = aws_clients.dynamodb.scan(TableName=aws["TABLE_NAME"])["Items"]
    expiries = sorted(item["expiresAt"]["N"] for item in items if item["pk"]["S"] == f"RATE#{subject}")
    assert expiries == ["1700000160", "1700000220"]
