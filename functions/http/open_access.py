"""Refuse what a web page could send to a gateway without keys.

Without keys, every caller is an admin. A page in a browser on this machine can call the gateway, by requests to its
address and by a foreign host name that resolves to it (DNS rebinding). Programs are not affected: they set neither
Origin nor Sec-Fetch-Site, and use the names of this machine.
https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.errors import PageForbiddenError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aws_lambda_powertools.event_handler import Response

    from functions.http.request import Request
    from functions.http.router import Middleware

_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_OWN_PAGES = ("same-origin", "none")  # none: the person entered the address


def refuse_foreign_pages(origins: Sequence[str]) -> Middleware:
    """Make the middleware. `origins`: foreign origins whose pages may use the API (CORS_ORIGINS)."""
    allowed = frozenset(origins)

    def check(request: Request, respond: Callable[[], Response[str]]) -> Response[str]:
        hosts = request.headers_of("Host")
        if len(hosts) != 1 or not _LOOPBACK_HOST.fullmatch(hosts[0]):
            raise PageForbiddenError(
                "Without keys, this gateway is for this machine only: use http://127.0.0.1 or http://localhost. To use "
                "another name, set API_KEYS."
            )
        origin_values = request.headers_of("Origin")
        own = f"{request.header('X-Forwarded-Proto') or 'http'}://{hosts[0]}".lower()
        origin = origin_values[0].lower() if len(origin_values) == 1 else None
        if origin_values and origin != own and origin not in allowed:
            raise PageForbiddenError(
                "Without keys, pages of other origins are refused: list this origin in CORS_ORIGINS."
            )
        sites = request.headers_of("Sec-Fetch-Site")
        if any(site.lower() not in _OWN_PAGES for site in sites) and origin not in allowed:
            raise PageForbiddenError(
                "Without keys, pages of other origins are refused: list this origin in CORS_ORIGINS."
            )
        return respond()

    return check
