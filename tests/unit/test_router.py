"""The router: built from declarations, which have to match its handlers."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.event_handler import Response

from functions.api.routes import ROUTES
from functions.http.auth import Authenticator
from functions.http.identify import identify_and_limit
from functions.http.router import Router
from functions.http.routes import Access, Route
from functions.routing import API_FUNCTIONS, module_of
from functions.wiring.workflows import WorkflowWiring
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.settings import ApiSettings
from local.api_event import HttpRequest, to_event
from local.lambda_runtime import invoke
from testing.ports import InMemoryPorts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.http.request import Request
    from functions.http.router import Operation

ENVIRONMENT = {
    "TABLE_NAME": "table",
    "BUCKET_NAME": "bucket",
    "EVENT_BUS_NAME": "bus",
    "HIGH_QUEUE_URL": "https://sqs.invalid/high",
    "NORMAL_QUEUE_URL": "https://sqs.invalid/normal",
    "LOW_QUEUE_URL": "https://sqs.invalid/low",
    "WEBHOOK_QUEUE_URL": "https://sqs.invalid/webhooks",
}


def route(method: str, path: str, operation_id: str, access: Access = Access.AUTHENTICATED) -> Route:
    """Declare a route."""
    return Route(
        method=method,
        path=path,
        operation_id=operation_id,
        summary="Paint the fence",
        access=access,
        function="fences",
        responses={200: None},
    )


FENCES = [
    route("GET", "/fences/{fenceId}", "getFence"),
    route("DELETE", "/fences/{fenceId}", "deleteFence", Access.ADMIN),
    route("GET", "/fences/{fenceId}/{part+}", "getPart"),
]


def respond(_request: Request, **parameters: str) -> Response[str]:
    """Return the path's parameters."""
    return Response(200, content_type="application/json", body=json.dumps(parameters))


class Fences:
    """A function with these routes, and a user and an admin who may call it."""

    def __init__(self, routes: list[Route]) -> None:
        ports = InMemoryPorts()
        for role in Role:
            key = ApiKey(sha256=hash_key(role), name=role, owner=role, role=role, created_at=ports.clock.now())
            ports.keys.put(key)
        authenticator = Authenticator(ports.keys, ports.clock, open_access=False)
        operations: Mapping[str, Operation] = {each.operation_id: respond for each in routes}
        self._clock = ports.clock
        self._router = Router(routes, operations, authenticator, [identify_and_limit(authenticator, None)])

    def send(self, method: str, path: str, key: str | None = None) -> tuple[int, Any, dict[str, Any]]:
        """Send a request; return status, body and headers."""
        request = HttpRequest(
            method=method,
            path=path,
            query="",
            headers=[("X-API-Key", key)] if key else [],
            body=b"",
            source_ip="192.0.2.1",
            scheme="https",
            port=443,
        )
        event = to_event(request, request_id="r", received_at=self._clock.now())
        response = invoke("fences", self._router, event, timeout_seconds=10)
        body = json.loads(response["body"]) if response.get("body") else None
        return response["statusCode"], body, response["multiValueHeaders"]


@pytest.mark.parametrize("function", sorted(API_FUNCTIONS))
def test_every_declared_route_has_a_handler(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every handler has a declared route: wiring fails otherwise, before anything is deployed."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    handler = importlib.import_module(module_of(function)).handler
    handler.make_handler(WorkflowWiring(ApiSettings.from_environment(ENVIRONMENT)))


@pytest.mark.parametrize("operations", [{}, {"getFence": respond, "paintFence": respond}])
def test_a_mismatch_fails_at_wiring(operations: Mapping[str, Operation]) -> None:
    """A route without handler as well as a handler without route; the message names it."""
    ports = InMemoryPorts()
    authenticator = Authenticator(ports.keys, ports.clock, open_access=False)
    with pytest.raises(ValueError, match=r"getFence|paintFence"):
        Router(FENCES[:1], operations, authenticator, [])


def test_operation_ids_are_unique() -> None:
    """A handler is looked up by its operation id."""
    assert len({each.operation_id for each in ROUTES}) == len(ROUTES)


def test_parameters_come_from_the_path() -> None:
    """In snake case; a last parameter with a plus contains slashes, and is as the client wrote it."""
    fences = Fences(FENCES)
    assert fences.send("GET", "/fences/7", "user")[:2] == (200, {"fence_id": "7"})
    assert fences.send("GET", "/fences/7/a%20/b", "user")[:2] == (200, {"fence_id": "7", "part": "a%20/b"})


def test_access_is_checked_before_the_handler_runs() -> None:
    """401 without a caller, 403 with too low a role, for the reason in the route's summary."""
    fences = Fences(FENCES)
    assert fences.send("DELETE", "/fences/7")[0] == 401
    assert fences.send("DELETE", "/fences/7", "wrong")[0] == 401
    status, body, _ = fences.send("DELETE", "/fences/7", "user")
    assert (status, body["error"]) == (403, "FORBIDDEN")
    assert "paint the fence" in body["message"]
    assert fences.send("DELETE", "/fences/7", "admin")[0] == 200


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/fences/7", 405), ("GET", "/gates", 404)])
def test_a_closed_function_shows_nobody_its_paths(method: str, path: str, status: int) -> None:
    """Without a caller an unknown path and another method are 401; with one they are what they are."""
    fences = Fences(FENCES)
    assert fences.send(method, path)[0] == 401
    assert fences.send(method, path, "user")[0] == status


def test_a_function_with_an_open_route_shows_its_paths() -> None:
    """There is nothing to hide; its other routes still require a caller."""
    fences = Fences([*FENCES, route("GET", "/fences", "listFences", Access.ANYONE)])
    assert fences.send("GET", "/fences", "wrong")[0] == 200
    assert fences.send("GET", "/gates")[0] == 404
    assert fences.send("GET", "/fences/7")[0] == 401


def test_more_for_callers_still_rejects_bad_credentials() -> None:
    """A caller with a wrong key gets 401, not the view of an anonymous caller."""
    fences = Fences([route("GET", "/fences", "listFences", Access.ANYONE_MORE_FOR_CALLERS)])
    assert [fences.send("GET", "/fences", key)[0] for key in (None, "user", "wrong")] == [200, 200, 401]


def test_other_methods_get_the_allowed_ones() -> None:
    """In the Allow header, also for OPTIONS, which needs no caller."""
    fences = Fences(FENCES)
    for method, key, status in (("PUT", "user", 405), ("OPTIONS", None, 204)):
        found, _, headers = fences.send(method, "/fences/7", key)
        assert (found, headers["Allow"]) == (status, ["GET, DELETE"])
