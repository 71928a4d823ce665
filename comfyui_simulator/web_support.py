"""Middlewares and responses that all endpoints share: headers, plain errors, and injected faults."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from comfyui_simulator.faults import Faults
    from comfyui_simulator.types import JsonObject

# As recorded from version 0.3.75.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; frame-src 'self'; object-src 'self';"
)

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NEVER_SECONDS = 24 * 60 * 60

logger = logging.getLogger(__name__)


async def json_object(request: web.Request) -> JsonObject:
    """Return the JSON body; a body that is not an object counts as an empty one (recorded: body is list).

    Raises ValueError when the body is not JSON.
    """
    body: JsonObject | object = await request.json()
    return body if isinstance(body, dict) else {}


def server_error(status: int = 500) -> web.Response:
    """Return the plain text response to a request that the server cannot handle, such as bad JSON."""
    text = f"{status} {HTTPStatus(status).phrase}\n\nServer got itself in trouble"
    response = web.Response(status=status, text=text)
    response.force_close()
    return response


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return a plain 500 for unhandled errors, an empty 404 for unknown paths, and add the recorded headers."""
    try:
        response = await handler(request)
    except web.HTTPNotFound:
        response = web.Response(status=404)
    except web.HTTPException:
        raise
    except Exception:
        # Clients of the real server get no more than this either; the log is for developers of the simulator.
        logger.debug("%s %s failed", request.method, request.path, exc_info=True)
        return server_error()
    if not response.prepared:
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


@web.middleware
async def refuse_foreign_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Return 403 to pages of other sites that call a server on the loopback address."""
    origin = request.headers.get("Origin")
    host = urlsplit(f"//{request.host}")
    if origin is not None and host.hostname in _LOOPBACK:
        source = urlsplit(origin)
        if source.hostname is not None and (
            source.hostname != host.hostname or (source.port and source.port != host.port)
        ):
            return web.Response(status=403)
    return await handler(request)


def inject_faults(faults: Faults) -> Middleware:
    """Return a middleware that makes requests fail as configured, except those that control the faults."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path.removeprefix("/api")
        fault = None if path.startswith("/simulator") else faults.take_request_fault(path)
        if fault is None:
            return await handler(request)
        if fault.status is None:
            # The client gives up first, or the server stops.
            await asyncio.sleep(_NEVER_SECONDS)
            return server_error()
        return server_error(fault.status)

    return middleware
