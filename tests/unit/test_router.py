"""The router: it is built from route declarations, which must match its handlers."""

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
        summary="Read a product",
        access=access,
        function="products",
        responses={200: None},
    )


PRODUCT_ROUTES = [
    route("GET", "/products/{productId}", "getProduct"),
    route("DELETE", "/products/{productId}", "deleteProduct", Access.ADMIN),
    route("GET", "/products/{productId}/{part+}", "getPart"),
]


def respond(_request: Request, **parameters: str) -> Response[str]:
    """Return the path's parameters."""
    return Response(200, content_type="application/json", body=json.dumps(parameters))


class ProductFunction:
    """An API function with these routes, and the API keys of a user and an admin."""

    def __init__(self, routes: list[Route]) -> None:
        ports = InMemoryPorts()
        for role in Role:
            key = ApiKey(sha256=hash_key(role), name=role, owner=role, role=role, created_at=ports.clock.now())
            ports.keys.put(key)
        authenticator = Authenticator(ports.keys, ports.clock, open_access=False, chosen_keys=True)
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
        response = invoke("products", self._router, event, timeout_seconds=10)
        body = json.loads(response["body"]) if response.get("body") else None
        return response["statusCode"], body, response["multiValueHeaders"]


@pytest.mark.parametrize("function", sorted(API_FUNCTIONS))
def test_every_declared_route_has_a_handler(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every handler also has a declared route: otherwise wiring fails, before anything is deployed."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    handler = importlib.import_module(module_of(function)).handler
    handler.make_handler(WorkflowWiring(ApiSettings.from_environment(ENVIRONMENT)))


@pytest.mark.parametrize("operations", [{}, {"getProduct": respond, "renameProduct": respond}])
def test_a_mismatch_of_routes_and_handlers_raises(operations: Mapping[str, Operation]) -> None:
    """A route without a handler, and a handler without a route. The message names the operation."""
    ports = InMemoryPorts()
    authenticator = Authenticator(ports.keys, ports.clock, open_access=False, chosen_keys=True)
    with pytest.raises(ValueError, match=r"getProduct|renameProduct"):
        Router(PRODUCT_ROUTES[:1], operations, authenticator, [])


def test_operation_ids_are_unique() -> None:
    """A handler is looked up by its operation id."""
    assert len({each.operation_id for each in ROUTES}) == len(ROUTES)


def test_parameters_come_from_the_path() -> None:
    """Names are in snake case. A greedy parameter contains slashes, and is not decoded."""
    products = ProductFunction(PRODUCT_ROUTES)
    assert products.send("GET", "/products/7", "user")[:2] == (200, {"product_id": "7"})
    assert products.send("GET", "/products/7/a%20/b", "user")[:2] == (200, {"product_id": "7", "part": "a%20/b"})


def test_access_is_checked_before_the_handler_runs() -> None:
    """401 without valid credentials, 403 without the required role. The message has the route's summary."""
    products = ProductFunction(PRODUCT_ROUTES)
    assert products.send("DELETE", "/products/7")[0] == 401
    assert products.send("DELETE", "/products/7", "wrong")[0] == 401
    status, body, _ = products.send("DELETE", "/products/7", "user")
    assert (status, body["error"]) == (403, "FORBIDDEN")
    assert "read a product" in body["message"]
    assert products.send("DELETE", "/products/7", "admin")[0] == 200


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/products/7", 405), ("GET", "/unknown", 404)])
def test_anonymous_callers_get_401_for_unknown_paths(method: str, path: str, status: int) -> None:
    """Also for other methods, so that the paths stay hidden; authenticated callers get 404 and 405."""
    products = ProductFunction(PRODUCT_ROUTES)
    assert products.send(method, path)[0] == 401
    assert products.send(method, path, "user")[0] == status


def test_a_function_with_an_open_route_returns_404() -> None:
    """Its paths need not be hidden; its other routes still require authentication."""
    products = ProductFunction([*PRODUCT_ROUTES, route("GET", "/products", "listProducts", Access.ANYONE)])
    assert products.send("GET", "/products", "wrong")[0] == 200
    assert products.send("GET", "/unknown")[0] == 404
    assert products.send("GET", "/products/7")[0] == 401


def test_more_for_callers_still_rejects_bad_credentials() -> None:
    """A caller with a wrong key gets 401, not the view of an anonymous caller."""
    products = ProductFunction([route("GET", "/products", "listProducts", Access.ANYONE_MORE_FOR_CALLERS)])
    assert [products.send("GET", "/products", key)[0] for key in (None, "user", "wrong")] == [200, 200, 401]


def test_the_allow_header_lists_the_methods() -> None:
    """Of a 405, and of OPTIONS, which requires no authentication."""
    products = ProductFunction(PRODUCT_ROUTES)
    for method, key, status in (("PUT", "user", 405), ("OPTIONS", None, 204)):
        found, _, headers = products.send(method, "/products/7", key)
        assert (found, headers["Allow"]) == (status, ["GET, DELETE"])
