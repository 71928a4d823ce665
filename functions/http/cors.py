"""Which web pages may use the API from a browser. https://fetch.spec.whatwg.org/#http-cors-protocol.

Credentials travel in headers that a page has to set itself, never in cookies, so Access-Control-Allow-Credentials
is not sent, and `*` opens nothing that a page has no key for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.http import router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

ANY_ORIGIN = "*"
_REQUEST_HEADERS = "Content-Type, Authorization, X-API-Key, X-Correlation-Id, Idempotency-Key, If-None-Match"
_EXPOSED_HEADERS = (
    "X-Correlation-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, "
    "ETag, Location, Content-Disposition"
)
_PREFLIGHT_SECONDS = "7200"  # Chromium keeps an answer no longer


class Cors:
    """Answers pages of these origins; none when there are none."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def middleware(self, app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[str]:
        """Put the headers on the answer, errors included, and answer preflights by the methods of their path."""
        if not self._origins:
            return next_middleware(app)
        allowed = self._allowed(app.current_event.headers.get("Origin"))
        router.add_headers(app, {"Vary": "Origin"})  # for caches, also when this origin gets nothing
        if allowed:
            router.add_headers(
                app, {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
            )
        answer: Response[str] = next_middleware(app)
        if allowed and router.is_options(app) and "Allow" in answer.headers:
            router.add_headers(
                app,
                {
                    "Access-Control-Allow-Methods": str(answer.headers["Allow"]),
                    "Access-Control-Allow-Headers": _REQUEST_HEADERS,
                    "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
                },
            )
        return answer

    def _allowed(self, origin: str | None) -> str | None:
        if ANY_ORIGIN in self._origins:
            return ANY_ORIGIN
        return origin if origin in self._origins else None
