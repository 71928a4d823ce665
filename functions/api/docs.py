"""`/openapi.json` and `/docs`: what the API is, for programs and for people. Both are open, and hold nothing secret."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from functions.http import router
from functions.wiring.api import ApiWiring, entry_point
from tools.api_docs.document import document
from tools.api_docs.page import CONTENT_SECURITY_POLICY, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler

_FRESH_SECONDS = 300


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app(wiring.middlewares)

    @app.get("/openapi.json")
    def get_document() -> Response[str]:
        return _answer(app, _document_text(_server(app)), "application/json")

    @app.get("/docs")
    def get_page() -> Response[str]:
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return _answer(app, _page_text(_server(app)), "text/html; charset=utf-8", headers)

    router.refuse_other_methods(app, {"/openapi.json": ("GET",), "/docs": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _server(app: APIGatewayRestResolver) -> str:
    """Tell where the API's paths begin: behind the stage's name, unless a domain of its own leads to it."""
    whole = app.current_event.request_context.path
    return whole.removesuffix(app.current_event.path) or "/"


# Made at the first request and kept. There is one server, or two where a stage and a domain lead to the API.
@cache
def _document_text(server: str) -> str:
    return json.dumps(document(server), separators=(",", ":"), ensure_ascii=False)


@cache
def _page_text(server: str) -> str:
    return page(document(server))


def _answer(
    app: APIGatewayRestResolver, text: str, content_type: str, headers: Mapping[str, str] | None = None
) -> Response[str]:
    tag = f'"{hashlib.sha256(text.encode()).hexdigest()}"'
    lasting = {"ETag": tag, "Cache-Control": f"public, max-age={_FRESH_SECONDS}"}
    if tag in app.current_event.headers.get("If-None-Match", ""):
        return Response(HTTPStatus.NOT_MODIFIED, headers=lasting)
    return Response(HTTPStatus.OK, content_type=content_type, body=text, headers={**lasting, **(headers or {})})


handler = entry_point(make_handler, ApiWiring)
