"""CORS: preflights and headers for the configured origins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from functions.routing import routes_by_path
from tests.component.api import Gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.aws.clients import Clients
    from tests.component.api import Response

PAGE, OTHER_PAGE = "https://app.example.com", "http://localhost:5173"
DAY_MS = "86400000"
PATH_PARAMETER = re.compile(r"{\w+\+?}")


@pytest.fixture
def restricted(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Return a gateway that allows two origins."""
    limit = {"RATE_LIMIT_MAX": "20", "RATE_LIMIT_WINDOW_MS": DAY_MS}
    return Gateway.on_aws(aws, aws_clients, CORS_ORIGINS=f"{PAGE}, {OTHER_PAGE}", **limit)


@pytest.fixture
def public(aws: dict[str, str], aws_clients: Clients) -> Gateway:
    """Return a gateway that allows every origin."""
    return Gateway.on_aws(aws, aws_clients, CORS_ORIGINS="*")


def preflight(gateway: Gateway, path: str, origin: str, method: str = "POST") -> Response:
    """Send a preflight request as a browser does."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    return gateway.anonymous.send("OPTIONS", path, headers=headers)


def cors_headers(response: Response) -> Mapping[str, str]:
    """Return the CORS headers of a response."""
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", routes_by_path())
def test_a_preflight_returns_the_methods_of_its_path(restricted: Gateway, path: str) -> None:
    """A preflight needs no key, and allows the path's methods and every header that the API reads."""
    response = preflight(restricted, PATH_PARAMETER.sub("x", path), OTHER_PAGE)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["vary"] == "Origin"
    allowed = cors_headers(response)
    assert allowed["access-control-allow-origin"] == OTHER_PAGE
    methods = {route.method for route in routes_by_path()[path]}
    assert set(allowed["access-control-allow-methods"].split(", ")) == methods
    sent = "Content-Type, Authorization, X-API-Key, X-Correlation-Id, Idempotency-Key, If-None-Match"
    assert allowed["access-control-allow-headers"] == sent
    assert int(allowed["access-control-max-age"]) > 0
    assert "access-control-allow-credentials" not in allowed


def test_a_preflight_of_an_unknown_path_is_404(restricted: Gateway) -> None:
    """A page can read the 404 of an unknown path."""
    for path in ("/nothing", "/jobs/a/b/c"):
        response = preflight(restricted, path, PAGE)
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
def test_other_origins_get_no_cors_headers(restricted: Gateway, origin: str) -> None:
    """Similar origins are not allowed. Responses differ by origin, so they have a Vary header."""
    for response in (preflight(restricted, "/jobs", origin), restricted.ada.get("/workflows", {"Origin": origin})):
        assert cors_headers(response) == {}
        assert response.headers["vary"] == "Origin"


def test_a_page_can_read_responses_and_errors(restricted: Gateway) -> None:
    """A page can read successes and errors: 401, 404, 405, 429 and 500."""
    restricted.wiring.workflows.heads = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]  # raises
    responses = [
        restricted.anonymous.get("/health", {"Origin": PAGE}),
        restricted.anonymous.get("/jobs", {"Origin": PAGE}),
        restricted.anonymous.get("/nothing", {"Origin": PAGE}),
        restricted.anonymous.send("PUT", "/health", headers={"Origin": PAGE}),
        restricted.ada.get("/workflows", {"Origin": PAGE}),
        *[restricted.anonymous.get("/health", {"Origin": PAGE}) for _ in range(18)],
    ]
    assert [response.status for response in responses[:5]] == [200, 401, 404, 405, 500]
    assert responses[-1].status == 429
    for response in responses:
        allowed = cors_headers(response)
        assert allowed["access-control-allow-origin"] == PAGE
        exposed = allowed["access-control-expose-headers"].lower().split(", ")
        own = {name for name in response.headers if name.startswith("x-") or name in ("retry-after", "etag")}
        assert own <= set(exposed)


def test_a_wildcard_origin_has_no_credentials(public: Gateway) -> None:
    """With CORS_ORIGINS=*, any page can use the API with a key; cookies are never allowed."""
    for response in (preflight(public, "/jobs", PAGE), public.ada.get("/workflows", {"Origin": PAGE})):
        allowed = cors_headers(response)
        assert allowed["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in allowed


def test_without_origins_there_is_no_cors(gateway: Gateway) -> None:
    """Without CORS_ORIGINS, OPTIONS lists the methods without CORS headers, so browsers reject the request."""
    response = preflight(gateway, "/jobs", PAGE)
    assert (response.status, response.headers["allow"]) == (204, "GET, POST")
    for each in (response, gateway.ada.get("/workflows", {"Origin": PAGE})):
        assert cors_headers(each) == {}
        assert "vary" not in each.headers
