"""Authentication and authorization on all paths."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import jwt
import pytest

from functions.http.auth import Authenticator, Caller
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.principal import ApiKey, Role, hash_key, mint_key
from gateway.errors import CredentialsRejectedError
from testing.clock import FakeClock
from tests.component.api import Gateway
from tests.component.workflows import add_workflow, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

    from gateway.aws.clients import Clients
    from tests.component.api import Response

JOB = "0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001"
GUARDED = [
    ("POST", "/jobs"),
    ("GET", f"/jobs/{JOB}"),
    ("GET", f"/jobs/{JOB}/deliveries"),
    ("POST", f"/jobs/{JOB}/deliveries"),
    ("POST", "/webhooks/test"),
    ("GET", f"/outputs/{JOB}"),
    ("GET", f"/outputs/{JOB}/a.png"),
    ("GET", "/workflows"),
    ("POST", "/workflows"),
    ("GET", "/workflows/w"),
]


def assert_unauthorized(response: Response, message: str) -> None:
    """Check for a 401 with the documented fields."""
    assert (response.status, response.json["error"], response.json["retryable"]) == (401, "AUTH_FAILED", False)
    assert response.json["message"].startswith(message)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_every_path_requires_a_key(gateway: Gateway, method: str, path: str) -> None:
    """A missing or unknown key is 401, even on a deployment that has no keys."""
    assert_unauthorized(gateway.anonymous.send(method, path), "Authentication required")
    assert_unauthorized(gateway.anonymous.send(method, path, headers={"X-API-Key": ""}), "Authentication required")
    assert_unauthorized(gateway.anonymous.send(method, path, headers={"X-API-Key": "any"}), "Invalid API key")
    assert_unauthorized(
        gateway.anonymous.send(method, path, headers={"Authorization": "Bearer x"}), "Authentication required"
    )


@pytest.mark.parametrize("key", ["wrong", "x" * 100_000, "KEY-OF-ADA", " ", "ключ"])
def test_an_invalid_key_is_401(gateway: Gateway, key: str) -> None:
    """Unknown, overlong and almost correct keys are rejected with the same error."""
    assert gateway.ada.get("/workflows").status == 200
    assert_unauthorized(gateway.anonymous.get("/workflows", {"X-API-Key": key}), "Invalid API key")


def test_the_key_header_is_case_insensitive(gateway: Gateway) -> None:
    """Header names are case-insensitive."""
    gateway.caller("k", "ada")
    assert [gateway.anonymous.get("/workflows", {name: "k"}).status for name in ("x-api-key", "X-Api-KEY")] == [
        200,
        200,
    ]


def test_a_disabled_key_is_401(gateway: Gateway) -> None:
    """A key can be disabled."""
    assert_unauthorized(gateway.caller("k", "ada", disabled=True).get("/workflows"), "Invalid API key")


def test_an_expired_key_is_401(gateway: Gateway) -> None:
    """A key is valid until it expires."""
    now = SYSTEM_CLOCK.now()
    assert gateway.caller("k1", "ada", expires_at=now + timedelta(hours=1)).get("/workflows").status == 200
    assert_unauthorized(gateway.caller("k2", "ada", expires_at=now).get("/workflows"), "Invalid API key")


class CountingKeyStore:
    """A key store in memory that counts its reads."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys = {key.sha256: key for key in keys}
        self.reads = 0

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key."""
        self.reads += 1
        return self.keys.get(sha256)

    def put(self, key: ApiKey) -> None:
        """Write a key."""
        self.keys[key.sha256] = key

    def delete(self, sha256: str) -> None:
        """Delete a key."""
        self.keys.pop(sha256, None)


class Request:
    """The part of a request that the authenticator reads."""

    def __init__(self, key: str) -> None:
        self.headers = {"X-API-Key": key}


def test_a_revoked_key_is_rejected_within_a_minute() -> None:
    """A function caches a key for less than a minute."""
    key = ApiKey(sha256=hash_key("k"), name="n", owner="ada", role=Role.USER, created_at=SYSTEM_CLOCK.now())
    keys, clock = CountingKeyStore(key), FakeClock()
    authenticator = Authenticator(keys, clock, open_access=False, chosen_keys=True)
    request: APIGatewayProxyEvent = Request("k")  # type: ignore[assignment]  # has all that is read
    first, second = authenticator.identify(request), authenticator.identify(request)
    assert first == second == Caller(key.principal, rate_limit_subject=f"KEY#{key.sha256}")
    assert keys.reads == 1
    keys.put(replace(key, disabled=True))
    clock.advance(60)
    with pytest.raises(CredentialsRejectedError):
        authenticator.identify(request)


def test_a_cached_key_expires_on_time() -> None:
    """Caching a key does not prolong its life."""
    clock = FakeClock()
    now = clock.now()
    expiry = now + timedelta(seconds=1)
    key = ApiKey(sha256=hash_key("k"), name="n", owner="ada", role=Role.USER, created_at=now, expires_at=expiry)
    keys = CountingKeyStore(key)
    authenticator = Authenticator(keys, clock, open_access=False, chosen_keys=True)
    request: APIGatewayProxyEvent = Request("k")  # type: ignore[assignment]  # has all that is read
    assert authenticator.identify(request)
    clock.advance(1)
    with pytest.raises(CredentialsRejectedError):
        authenticator.identify(request)
    assert keys.reads == 1


@pytest.mark.parametrize("change", [lambda key: key[:-1] + "x", lambda key: key[:-8], lambda _: "made-up", str.upper])
def test_a_made_up_key_costs_no_read(change: Callable[[str], str]) -> None:
    """On a deployed stage, the form and the checksum of a key are checked before it is looked up."""
    key, record = mint_key(name="n", owner="ada", role=Role.USER, now=SYSTEM_CLOCK.now())
    keys = CountingKeyStore(record)
    authenticator = Authenticator(keys, FakeClock(SYSTEM_CLOCK.now()), open_access=False)
    request: APIGatewayProxyEvent = Request(change(key))  # type: ignore[assignment]  # has all that is read
    with pytest.raises(CredentialsRejectedError):
        authenticator.identify(request)
    assert keys.reads == 0
    request = Request(key)  # type: ignore[assignment]  # as above
    assert authenticator.identify(request)


JWT_SECRET = "a secret of the tests, 32 bytes long"


@pytest.fixture
def jwt_gateway(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Return a gateway that accepts JWTs."""
    gateway = Gateway.on_aws(aws, aws_clients, JWT_SECRET=JWT_SECRET)
    add_workflow(gateway)
    return gateway


def bearer(subject: str, role: str = "user", *, seconds: int = 60, scheme: str = "Bearer") -> dict[str, str]:
    """Return an Authorization header with a JWT that is valid for `seconds`."""
    claims = {"sub": subject, "role": role, "exp": int(time.time()) + seconds}
    return {"Authorization": f"{scheme} {jwt.encode(claims, JWT_SECRET)}"}


def test_a_token_authenticates_its_subject(jwt_gateway: Gateway) -> None:
    """The subject owns its jobs, and the role claim sets the permissions."""
    body = {"workflowId": "w", "inputs": {"prompt": "x"}}
    job_id = jwt_gateway.anonymous.post("/jobs", body, bearer("ada")).json["jobId"]
    for claims, status in ((("ada",), 200), (("bob",), 404), (("o", "admin"), 200)):
        assert jwt_gateway.anonymous.get(f"/jobs/{job_id}", bearer(*claims)).status == status
    assert jwt_gateway.anonymous.post("/workflows", {}, bearer("ada")).status == 403
    assert jwt_gateway.anonymous.post("/workflows", {}, bearer("ada", "admin")).status == 400
    assert "executors" in jwt_gateway.anonymous.get("/health", bearer("ada")).json


def test_an_invalid_token_is_401(jwt_gateway: Gateway) -> None:
    """An invalid token is 401, on public paths as well; the message states whether it has expired."""
    assert_unauthorized(jwt_gateway.anonymous.get("/workflows", bearer("ada", seconds=-1)), "JWT token has expired")
    assert_unauthorized(jwt_gateway.anonymous.get("/workflows", {"Authorization": "Bearer x"}), "Invalid JWT token")
    assert_unauthorized(jwt_gateway.anonymous.get("/workflows", {"Authorization": "Bearer"}), "Invalid JWT token")
    assert_unauthorized(jwt_gateway.anonymous.get("/health", {"Authorization": "Bearer x"}), "Invalid JWT token")
    basic = bearer("ada", scheme="Basic")
    assert_unauthorized(jwt_gateway.anonymous.get("/workflows", basic), "Authentication required")
    assert jwt_gateway.anonymous.get("/workflows", bearer("ada", scheme="bearer ")).status == 200


def test_a_key_takes_precedence_over_a_token(jwt_gateway: Gateway) -> None:
    """With both, only the key is used; an empty key is ignored."""
    assert_unauthorized(jwt_gateway.anonymous.get("/workflows", {"X-API-Key": "x", **bearer("ada")}), "Invalid API key")
    assert jwt_gateway.ada.post("/workflows", {}, bearer("root", "admin")).status == 403
    assert jwt_gateway.anonymous.get("/workflows", {"X-API-Key": "", **bearer("ada")}).status == 200


def test_tokens_are_ignored_without_a_jwt_secret(gateway: Gateway) -> None:
    """Without JWT_SECRET, tokens are ignored and the error does not mention them."""
    response = gateway.anonymous.get("/workflows", bearer("ada", "admin"))
    assert_unauthorized(response, "Authentication required")
    assert "JWT" not in response.json["message"]


def test_only_admins_can_create_workflows(gateway: Gateway) -> None:
    """A user gets 403, and nothing is created."""
    response = gateway.ada.post("/workflows", {"id": "w"})
    assert (response.status, response.json["error"]) == (403, "FORBIDDEN")
    assert response.json["message"].startswith("Admin role required")
    assert list(gateway.wiring.workflows.heads()) == []


@pytest.mark.parametrize("path", ["/jobs/{id}", "/jobs/{id}?wait=1", "/outputs/{id}", "/outputs/{id}/a.png"])
def test_another_owners_job_is_404(gateway: Gateway, path: str) -> None:
    """Another user's job has exactly the response of an unknown job; its owner and an admin can read it."""
    add_workflow(gateway)
    job_id = gateway.ada.post("/jobs", {"workflowId": "w", "inputs": {"prompt": "x"}}).json["jobId"]
    run(gateway, job_id, {"a.png": b"png"})
    missing = str(uuid.uuid4())
    response = gateway.bob.get(path.format(id=job_id), {"X-Correlation-Id": "c"})
    assert (response.status, response.json["error"]) == (404, "JOB_NOT_FOUND")
    nothing = gateway.bob.get(path.format(id=missing), {"X-Correlation-Id": "c"})
    assert response.body.replace(job_id.encode(), b"") == nothing.body.replace(missing.encode(), b"")
    assert [caller.get(path.format(id=job_id)).status for caller in (gateway.ada, gateway.admin)] == [200, 200]


def test_open_access_makes_every_caller_an_admin(aws: dict[str, str], aws_clients: Clients) -> None:
    """With OPEN_ACCESS, no key is required and keys are ignored."""
    gateway = Gateway.on_aws(aws, aws_clients, OPEN_ACCESS="true")
    assert gateway.anonymous.get("/workflows").status == 200
    assert gateway.anonymous.get("/workflows", {"X-API-Key": "any"}).status == 200
    assert gateway.anonymous.post("/workflows", {"id": "w"}).status == 400
