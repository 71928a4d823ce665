"""`/openapi.json` and `/docs`: the API document and the docs page, served from the files that `make docs` writes."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from functions.api.static import DOCS_HTML, OPENAPI_JSON
from functions.http import router
from functions.wiring.api import ApiWiring, entry_point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler

_MAX_AGE_SECONDS = 300


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app(wiring.middlewares)
    document = OPENAPI_JSON.read_text(encoding="utf-8")
    page = DOCS_HTML.read_text(encoding="utf-8")
    page_headers = {
        "Content-Security-Policy": _content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @app.get("/openapi.json")
    def get_document() -> Response[str]:
        return _cacheable(app, document, "application/json", {})

    @app.get("/docs")
    def get_page() -> Response[str]:
        return _cacheable(app, page, "text/html; charset=utf-8", page_headers)

    router.refuse_other_methods(app, {"/openapi.json": ("GET",), "/docs": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _content_security_policy(page: str) -> str:
    """Allow the page's own style sheet and nothing else."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _cacheable(app: APIGatewayRestResolver, text: str, content_type: str, headers: Mapping[str, str]) -> Response[str]:
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()}"'
    cache_headers = {"ETag": etag, "Cache-Control": f"public, max-age={_MAX_AGE_SECONDS}"}
    if etag in app.current_event.headers.get("If-None-Match", ""):
        return Response(HTTPStatus.NOT_MODIFIED, headers=cache_headers)
    return Response(HTTPStatus.OK, content_type=content_type, body=text, headers={**cache_headers, **headers})


handler = entry_point(make_handler, ApiWiring)
