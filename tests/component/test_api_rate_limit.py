"""Rate limits as callers meet them, counted in DynamoDB."""

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
from tests.component.samples import at_once
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
    """Run gateways of one deployment with a limit."""

    def make(limit: int, **settings: str) -> AwsGateway:
        return Gateway.on_aws(aws, aws_clients, RATE_LIMIT_MAX=str(limit), RATE_LIMIT_WINDOW_MS=DAY_MS, **settings)

    return make


def assert_limited(response: Response) -> None:
    """Check that this is the contract's 429."""
    assert (response.status, response.json["error"], response.json["retryable"]) == (429, "RATE_LIMITED", True)
    assert 0 < int(response.headers["retry-after"]) <= 86400
    assert response.headers[REMAINING] == "0"


def test_every_answer_tells_the_limit(limited: MakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Good ones, 401, 404, 405, 400, 403, 500 and open paths alike; each counts."""
    gateway = limited(50)
    anonymous = [
        gateway.nobody.send(method, path, headers=headers)
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


def test_one_too_many_is_429_on_every_path(limited: MakeGateway) -> None:
    """Whatever is asked for, known or not, it is refused before it is looked at."""
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


def test_each_key_has_a_limit_of_its_own(limited: MakeGateway) -> None:
    """Whoever has used up its own takes nothing from others, from the same address or from another."""
    gateway = limited(1)
    assert [gateway.ada.get("/workflows").status for _ in range(2)] == [200, 429]
    assert [gateway.bob.get("/workflows").status for _ in range(2)] == [200, 429]
    assert [gateway.nobody.get("/health").status for _ in range(2)] == [200, 429]
    gateway.source_ip = "192.0.2.2"
    assert gateway.ada.get("/workflows").status == 429


def test_tokens_count_by_their_subject(limited: MakeGateway) -> None:
    """Another token of the same subject is the same caller; a key whose owner has the same name is not."""
    gateway = limited(2, JWT_SECRET=SECRET)

    def send(subject: str, seconds: int) -> int:
        claims = {"sub": subject, "role": "user", "exp": int(time.time()) + seconds}
        return gateway.nobody.get("/workflows", {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}).status

    assert [send("ada", seconds) for seconds in (60, 70, 80)] == [200, 200, 429]
    assert send("bob", 60) == 200
    assert gateway.ada.get("/workflows").status == 200


def test_bad_credentials_count_by_address(limited: MakeGateway) -> None:
    """Whoever tries keys one after the other is stopped, and good keys from that address are not."""
    gateway = limited(3)
    tried = [gateway.nobody.get("/workflows", {"X-API-Key": f"guess-{number}"}).status for number in range(5)]
    assert tried == [401, 401, 401, 429, 429]
    assert gateway.ada.get("/workflows").status == 200
    gateway.source_ip = "2001:db8::1"
    assert gateway.nobody.get("/workflows", {"X-API-Key": "guess"}).status == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP", "True-Client-IP"])
def test_a_header_is_no_address(limited: MakeGateway, header: str) -> None:
    """A client that names another address with each request is counted by its own all the same."""
    gateway = limited(2)
    responses = [gateway.nobody.get("/health", {header: f"198.51.100.{number}"}).status for number in range(3)]
    assert responses == [200, 200, 429]


def test_zero_counts_nothing(limited: MakeGateway) -> None:
    """It makes no call and writes no header."""
    gateway = limited(0)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        response = gateway.ada.get("/workflows")
    assert calls == ["dynamodb.Query"]
    assert not [name for name in response.headers if "ratelimit" in name]
    assert gateway.stored("RATE#") == []


def test_a_flood_costs_no_calls(limited: MakeGateway) -> None:
    """A function that knows that a caller's window is used up asks nobody."""
    gateway = limited(1)
    gateway.ada.get("/workflows")
    with aws_calls(gateway.clients) as calls:
        for _ in range(5):
            assert_limited(gateway.ada.get("/workflows"))
    assert calls == []


def test_options_are_not_counted(limited: MakeGateway) -> None:
    """Browsers ask for a path's methods before each request; that costs nobody anything."""
    gateway = limited(1)
    with aws_calls(gateway.clients) as calls:
        responses = [gateway.nobody.send("OPTIONS", path) for path in ("/jobs", "/health", "/workflows/w", "/nothing")]
    assert calls == []
    assert [response.status for response in responses] == [204, 204, 204, 404]
    assert gateway.nobody.get("/health").status == 200


def test_a_failing_count_lets_nobody_through(limited: MakeGateway, aws: dict[str, str]) -> None:
    """It is a 500 that may be tried again, and promises nothing."""
    gateway = limited(5)
    gateway.clients.dynamodb.delete_table(TableName=aws["TABLE_NAME"])
    response = gateway.nobody.get("/health")
    assert (response.status, response.json["error"], response.json["retryable"]) == (500, "INTERNAL_ERROR", True)
    assert (response.headers[LIMIT], response.headers[REMAINING]) == ("5", "0")


def test_all_instances_count_together(aws: dict[str, str]) -> None:
    """Of 64 requests from 8 threads, spread over two instances, exactly as many pass as the limit says."""
    settings = ApiSettings.from_environment({**aws, "RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": DAY_MS})
    limiters = [WorkflowWiring(settings).limiter for _ in range(2)]

    def send_eight(number: int) -> int:
        limiter = limiters[number % 2]
        assert limiter
        return sum(not limiter.count("KEY#k").exceeded for _ in range(8))

    assert sum(at_once(8, send_eight)) == 20


def test_instances_share_what_their_callers_used(limited: MakeGateway) -> None:
    """What one instance let through is missing at the other."""
    first, second = limited(3), limited(3)
    responses = [instance.ada.get("/workflows") for instance in (first, second, first, second)]
    assert [response.status for response in responses] == [200, 200, 200, 429]
    assert [response.headers[REMAINING] for response in responses] == ["2", "1", "0", "0"]


def test_the_table_forgets_the_window(aws: dict[str, str], aws_clients: Clients) -> None:
    """A counter has the attribute by which DynamoDB removes it; a window that has rolled over has a new one."""
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
