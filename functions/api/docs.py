"""`/openapi.json` and `/docs`: the API document and the docs page, served from the files that `make docs` writes."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler import Response

from functions.api.routes import ROUTES
from functions.api.static import DOCS_HTML, OPENAPI_JSON
from functions.wiring.api import ApiWiring, entry_point

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.http.request import Request
    from functions.http.router import Operations

_MAX_AGE_SECONDS = 300


def operations(_wiring: ApiWiring) -> Operations:
    """Make the handlers."""
    document = OPENAPI_JSON.read_text(encoding="utf-8")
    page = DOCS_HTML.read_text(encoding="utf-8")
    page_headers = {
        "Content-Security-Policy": _content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    def handle_get_openapi(request: Request) -> Response[str]:
        return _cacheable(request, document, "application/json", {})

    def handle_get_docs(request: Request) -> Response[str]:
        return _cacheable(request, page, "text/html; charset=utf-8", page_headers)

    return {"getOpenApi": handle_get_openapi, "getDocs": handle_get_docs}


def _content_security_policy(page: str) -> str:
    """Allow the page's own style sheet and nothing else."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _cacheable(request: Request, text: str, content_type: str, headers: Mapping[str, str]) -> Response[str]:
    etag = f'"{hashlib.sha256(text.encode()).hexdigest()}"'
    cache_headers = {"ETag": etag, "Cache-Control": f"public, max-age={_MAX_AGE_SECONDS}"}
    if etag in (request.header("If-None-Match") or ""):
        return Response(HTTPStatus.NOT_MODIFIED, headers=cache_headers)
    return Response(HTTPStatus.OK, content_type=content_type, body=text, headers={**cache_headers, **headers})


handler = entry_point("docs", ROUTES, operations, ApiWiring)
