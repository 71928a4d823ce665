"""CORS: which web pages may use the API from a browser. https://fetch.spec.whatwg.org/#http-cors-protocol.

Credentials are sent in headers that a page has to set itself, never in cookies. So Access-Control-Allow-Credentials
is not sent, and `*` gives a page nothing that it has no key for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aws_lambda_powertools.event_handler import Response

    from functions.http.request import Request
    from functions.http.router import Middleware

ANY_ORIGIN = "*"
_REQUEST_HEADERS = "Content-Type, Authorization, X-API-Key, X-Correlation-Id, Idempotency-Key, If-None-Match"
_EXPOSED_HEADERS = (
    "X-Correlation-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, "
    "ETag, Location, Content-Disposition"
)
_PREFLIGHT_SECONDS = "7200"  # Chromium caches a response no longer


def allow_origins(origins: Sequence[str]) -> Middleware:
    """Make the middleware that sets the headers, errors included, and handles preflights. No origins: no headers."""
    allowed_origins = frozenset(origins)

    def set_headers(request: Request, respond: Callable[[], Response[str]]) -> Response[str]:
        if not allowed_origins:
            return respond()
        request.response_headers["Vary"] = "Origin"  # for caches, also when this origin is not allowed
        origin = ANY_ORIGIN if ANY_ORIGIN in allowed_origins else request.header("Origin")
        if origin not in allowed_origins:
            return respond()
        request.response_headers["Access-Control-Allow-Origin"] = origin
        request.response_headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        response = respond()
        if request.is_options and "Allow" in response.headers:
            request.response_headers["Access-Control-Allow-Methods"] = str(response.headers["Allow"])
            request.response_headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            request.response_headers["Access-Control-Max-Age"] = _PREFLIGHT_SECONDS
        return response

    return set_headers
