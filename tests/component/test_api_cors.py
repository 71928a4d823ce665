"""What pages of other origins may do: nothing until they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from functions.routing import ROUTES
from tests.component.api import Gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.aws.clients import Clients
    from tests.component.api import Response

PAGE, OTHER_PAGE = "https://app.example.com", "http://localhost:5173"
DAY_MS = "86400000"
JOB = "0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001"
PATHS = {
    "/jobs": "GET, POST",
    f"/jobs/{JOB}": "GET",
    f"/jobs/{JOB}/cancel": "POST",
    f"/jobs/{JOB}/deliveries": "GET, POST",
    "/webhooks/test": "POST",
    "/workflows": "GET, POST",
    "/workflows/w": "GET, PUT, DELETE",
    "/capabilities": "GET",
    "/audit": "GET",
    "/stats": "GET",
    f"/outputs/{JOB}": "GET",
    f"/outputs/{JOB}/a.png": "GET",
    "/health": "GET",
    "/openapi.json": "GET",
    "/docs": "GET",
}


@pytest.fixture
def named(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Run a gateway that two origins may use."""
    limit = {"RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": DAY_MS}
    return Gateway.on_aws(aws, aws_clients, CORS_ORIGINS=f"{PAGE}, {OTHER_PAGE}", **limit)


@pytest.fixture
def public(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Run a gateway that every origin may use."""
    return Gateway.on_aws(aws, aws_clients, CORS_ORIGINS="*")


def preflight(gateway: Gateway, path: str, origin: str, method: str = "POST") -> Response:
    """Ask as a browser does before a request of a page."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    return gateway.nobody.send("OPTIONS", path, headers=headers)


def cors_headers(response: Response) -> Mapping[str, str]:
    """Pick the headers that browsers go by."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize(("path", "methods"), PATHS.items())
def test_a_preflight_tells_the_methods_of_its_path(named: Gateway, path: str, methods: str) -> None:
    """No key is asked for, and every header that the API reads may be sent."""
    response = preflight(named, path, OTHER_PAGE)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["vary"] == "Origin"
    allowed = cors_headers(response)
    assert allowed["access-control-allow-origin"] == OTHER_PAGE
    assert allowed["access-control-allow-methods"] == methods
    sent = "Content-Type, Authorization, X-API-Key, X-Correlation-Id, Idempotency-Key, If-None-Match"
    assert allowed["access-control-allow-headers"] == sent
    assert int(allowed["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in allowed


def test_every_function_has_a_path_here() -> None:
    """None is left out of the test above."""
    assert {path.split("/")[1] for path in PATHS} >= {route.path.split("/")[1] for route in ROUTES}


def test_a_preflight_of_an_unknown_path_is_404(named: Gateway) -> None:
    """The page may read why."""
    for path in ("/nothing", "/jobs/a/b/c"):
        response = preflight(named, path, PAGE)
        assert (response.status, response.json["error"]) == (404, "NOT_FOUND")
        assert cors_headers(response)["access-control-allow-origin"] == PAGE
        assert "access-control-allow-methods" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "https://sub.app.example.com",
        "null",
        "*",
        "",
    ],
)
def test_another_origin_gets_nothing(named: Gateway, origin: str) -> None:
    """Near misses are other origins. The answer differs by origin, so caches are told."""
    for response in (preflight(named, "/jobs", origin), named.ada.get("/workflows", {"Origin": origin})):
        assert cors_headers(response) == {}
        assert response.headers["vary"] == "Origin"


def test_a_page_may_read_answers_and_errors(named: Gateway) -> None:
    """401, 404, 405, 429 and 500 too: a page can say what is wrong."""
    named.wiring.workflows.heads = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]  # it breaks
    responses = [
        named.nobody.get("/health", {"Origin": PAGE}),
        named.nobody.get("/jobs", {"Origin": PAGE}),
        named.nobody.get("/nothing", {"Origin": PAGE}),
        named.nobody.send("PUT", "/health", headers={"Origin": PAGE}),
        named.ada.get("/workflows", {"Origin": PAGE}),
        *[named.nobody.get("/health", {"Origin": PAGE}) for _ in range(18)],
    ]
    assert [response.status for response in responses[:5]] == [200, 401, 404, 405, 500]
    assert responses[-1].status == 429
    for response in responses:
        allowed = cors_headers(response)
        assert allowed["access-control-allow-origin"] == PAGE
        exposed = allowed["access-control-expose-headers"].lower().split(", ")
        own = {name for name in response.headers if name.startswith("x-") or name in ("retry-after", "etag")}
        assert own <= set(exposed)


def test_every_origin_is_a_wildcard_without_credentials(public: Gateway) -> None:
    """Whoever has a key may use it from any page, and no cookie is ever meant."""
    for response in (preflight(public, "/jobs", PAGE), public.ada.get("/workflows", {"Origin": PAGE})):
        allowed = cors_headers(response)
        assert allowed["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in allowed


def test_without_origins_there_is_no_cors(gateway: Gateway) -> None:
    """OPTIONS still tells a path's methods, and a browser takes that for a no."""
    response = preflight(gateway, "/jobs", PAGE)
    assert (response.status, response.headers["allow"]) == (204, "GET, POST")
    for each in (response, gateway.ada.get("/workflows", {"Origin": PAGE})):
        assert cors_headers(each) == {}
        assert "vary" not in each.headers
