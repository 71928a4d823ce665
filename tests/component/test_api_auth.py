"""Who may do what, whatever the path."""

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
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.errors import CredentialsRejectedError
from testing.clock import FakeClock
from tests.component.api import Gateway
from tests.component.workflows import add_workflow, run

if TYPE_CHECKING:
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


def assert_refused(response: Response, message: str) -> None:
    """Check that this is the contract's 401."""
    assert (response.status, response.json["error"], response.json["retryable"]) == (401, "AUTH_FAILED", False)
    assert response.json["message"].startswith(message)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_every_path_asks_for_a_key(gateway: Gateway, method: str, path: str) -> None:
    """Without a key nothing but health is answered, even to a deployment that has no keys at all."""
    assert_refused(gateway.nobody.send(method, path), "Authentication required.")
    assert_refused(gateway.nobody.send(method, path, headers={"X-API-Key": ""}), "Authentication required.")
    assert_refused(gateway.nobody.send(method, path, headers={"X-API-Key": "any"}), "Invalid API key")
    assert_refused(gateway.nobody.send(method, path, headers={"Authorization": "Bearer x"}), "Authentication required.")


@pytest.mark.parametrize("key", ["wrong", "x" * 100_000, "KEY-OF-ADA", " ", "ключ"])
def test_a_bad_key_opens_nothing(gateway: Gateway, key: str) -> None:
    """Unknown, endless and nearly right keys are refused alike."""
    assert gateway.ada.get("/workflows").status == 200
    assert_refused(gateway.nobody.get("/workflows", {"X-API-Key": key}), "Invalid API key")


def test_a_key_in_any_case_of_the_header(gateway: Gateway) -> None:
    """Header names have no case."""
    gateway.caller("k", "ada")
    assert [gateway.nobody.get("/workflows", {name: "k"}).status for name in ("x-api-key", "X-Api-KEY")] == [200, 200]


def test_a_disabled_key_opens_nothing(gateway: Gateway) -> None:
    """A key can be switched off."""
    assert_refused(gateway.caller("k", "ada", disabled=True).get("/workflows"), "Invalid API key")


def test_an_expired_key_opens_nothing(gateway: Gateway) -> None:
    """A key is good until it expires."""
    now = SYSTEM_CLOCK.now()
    assert gateway.caller("k1", "ada", expires_at=now + timedelta(hours=1)).get("/workflows").status == 200
    assert_refused(gateway.caller("k2", "ada", expires_at=now).get("/workflows"), "Invalid API key")


class Keys:
    """Keys in memory, counting how often they are asked for."""

    def __init__(self, *keys: ApiKey) -> None:
        self.kept = {key.sha256: key for key in keys}
        self.asked = 0

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key."""
        self.asked += 1
        return self.kept.get(sha256)

    def put(self, key: ApiKey) -> None:
        """Write a key."""
        self.kept[key.sha256] = key

    def delete(self, sha256: str) -> None:
        """Forget a key."""
        self.kept.pop(sha256, None)


class Request:
    """All that the authenticator looks at."""

    def __init__(self, key: str) -> None:
        self.headers = {"X-API-Key": key}


def test_a_revoked_key_stops_within_a_minute() -> None:
    """A function that knows a key asks again before a minute is over, and not at every request."""
    key = ApiKey(sha256=hash_key("k"), name="n", owner="ada", role=Role.USER, created_at=SYSTEM_CLOCK.now())
    keys, clock = Keys(key), FakeClock()
    authenticator = Authenticator(keys, clock, open_access=False)
    request: APIGatewayProxyEvent = Request("k")  # type: ignore[assignment]  # the part of it that is read
    first, second = authenticator.identify(request), authenticator.identify(request)
    assert first == second == Caller(key.principal, rate_limit_subject=f"KEY#{key.sha256}")
    assert keys.asked == 1
    keys.put(replace(key, disabled=True))
    clock.advance(60)
    with pytest.raises(CredentialsRejectedError):
        authenticator.identify(request)


def test_a_cached_key_still_expires_on_time() -> None:
    """Caching a key does not prolong its life."""
    clock = FakeClock()
    now = clock.now()
    expiry = now + timedelta(seconds=1)
    key = ApiKey(sha256=hash_key("k"), name="n", owner="ada", role=Role.USER, created_at=now, expires_at=expiry)
    keys = Keys(key)
    authenticator = Authenticator(keys, clock, open_access=False)
    request: APIGatewayProxyEvent = Request("k")  # type: ignore[assignment]  # the part of it that is read
    assert authenticator.identify(request)
    clock.advance(1)
    with pytest.raises(CredentialsRejectedError):
        authenticator.identify(request)
    assert keys.asked == 1


JWT_SECRET = "a secret of the tests, 32 bytes long"


@pytest.fixture
def signing(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Run a gateway that takes JWTs."""
    gateway = Gateway.on_aws(aws, aws_clients, JWT_SECRET=JWT_SECRET)
    add_workflow(gateway)
    return gateway


def bearer(subject: str, role: str = "user", *, seconds: int = 60, scheme: str = "Bearer") -> dict[str, str]:
    """Make the header with a JWT that is good for so long."""
    claims = {"sub": subject, "role": role, "exp": int(time.time()) + seconds}
    return {"Authorization": f"{scheme} {jwt.encode(claims, JWT_SECRET)}"}


def test_a_token_signs_its_subject_in(signing: Gateway) -> None:
    """The subject owns what it makes, and the role says what it may do."""
    job_id = signing.nobody.post("/jobs", {"workflowId": "w", "inputs": {"prompt": "x"}}, bearer("ada")).json["jobId"]
    seen = [signing.nobody.get(f"/jobs/{job_id}", bearer(*who)).status for who in [("ada",), ("bob",), ("o", "admin")]]
    assert seen == [200, 404, 200]
    assert signing.nobody.post("/workflows", {}, bearer("ada")).status == 403
    assert signing.nobody.post("/workflows", {}, bearer("ada", "admin")).status == 400
    assert "executors" in signing.nobody.get("/health", bearer("ada")).json


def test_a_bad_token_opens_nothing(signing: Gateway) -> None:
    """It is refused with the reason where that helps, on the open path too."""
    assert_refused(signing.nobody.get("/workflows", bearer("ada", seconds=-1)), "JWT token has expired")
    assert_refused(signing.nobody.get("/workflows", {"Authorization": "Bearer x"}), "Invalid JWT token")
    assert_refused(signing.nobody.get("/workflows", {"Authorization": "Bearer"}), "Invalid JWT token")
    assert_refused(signing.nobody.get("/health", {"Authorization": "Bearer x"}), "Invalid JWT token")
    no_scheme = bearer("ada", scheme="Basic")
    assert_refused(signing.nobody.get("/workflows", no_scheme), "Authentication required. Send your API key")
    assert signing.nobody.get("/workflows", bearer("ada", scheme="bearer ")).status == 200


def test_of_a_key_and_a_token_the_key_decides(signing: Gateway) -> None:
    """A bad key is not made good by a token, and a good one is what counts."""
    assert_refused(signing.nobody.get("/workflows", {"X-API-Key": "x", **bearer("ada")}), "Invalid API key")
    assert signing.ada.post("/workflows", {}, bearer("root", "admin")).status == 403
    assert signing.nobody.get("/workflows", {"X-API-Key": "", **bearer("ada")}).status == 200


def test_without_a_secret_no_token_is_looked_at(gateway: Gateway) -> None:
    """Tokens are off until a secret is configured, and so is their mention."""
    response = gateway.nobody.get("/workflows", bearer("ada", "admin"))
    assert_refused(response, "Authentication required.")
    assert "JWT" not in response.json["message"]


def test_only_admins_create_workflows(gateway: Gateway) -> None:
    """A user is told which role it takes, and nothing is created."""
    response = gateway.ada.post("/workflows", {"id": "w"})
    assert (response.status, response.json["error"]) == (403, "FORBIDDEN")
    assert response.json["message"].startswith("Admin role required")
    assert list(gateway.wiring.workflows.heads()) == []


@pytest.mark.parametrize("path", ["/jobs/{id}", "/jobs/{id}?wait=1", "/outputs/{id}", "/outputs/{id}/a.png"])
def test_another_owners_job_is_not_there(gateway: Gateway, path: str) -> None:
    """For a user it is answered, to the letter, like a job that does not exist; its owner and an admin see it."""
    add_workflow(gateway)
    job_id = gateway.ada.post("/jobs", {"workflowId": "w", "inputs": {"prompt": "x"}}).json["jobId"]
    run(gateway, job_id, {"a.png": b"picture"})
    missing = str(uuid.uuid4())
    response = gateway.bob.get(path.format(id=job_id), {"X-Correlation-Id": "c"})
    assert (response.status, response.json["error"]) == (404, "JOB_NOT_FOUND")
    nothing = gateway.bob.get(path.format(id=missing), {"X-Correlation-Id": "c"})
    assert response.body.replace(job_id.encode(), b"") == nothing.body.replace(missing.encode(), b"")
    assert [caller.get(path.format(id=job_id)).status for caller in (gateway.ada, gateway.admin)] == [200, 200]


def test_open_access_makes_everybody_an_admin(aws: dict[str, str], aws_clients: Clients) -> None:
    """Local mode without keys: no key is asked for, and none is looked at."""
    gateway = Gateway.on_aws(aws, aws_clients, OPEN_ACCESS="true")
    assert gateway.nobody.get("/workflows").status == 200
    assert gateway.nobody.get("/workflows", {"X-API-Key": "any"}).status == 200
    assert gateway.nobody.post("/workflows", {"id": "w"}).status == 400
