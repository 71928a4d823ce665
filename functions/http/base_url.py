"""Note under which address the caller reached the gateway."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from functions.rendering.base_url import caller_base_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.event_handler import Response

    from functions.http.request import Request

_HOST = re.compile(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.IGNORECASE)


def note_base_url(request: Request, respond: Callable[[], Response[str]]) -> Response[str]:
    """Set `caller_base_url` to the scheme and the Host of the request; a middleware."""
    host = request.header("Host") or ""
    if not _HOST.fullmatch(host):
        host = f"127.0.0.1:{request.header('X-Forwarded-Port')}"
    caller_base_url.set(f"{request.header('X-Forwarded-Proto') or 'http'}://{host}")
    return respond()
