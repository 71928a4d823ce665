"""Serve HTTP and forward requests to the Lambda handlers, as API Gateway does.

One event loop reads heads and bodies and writes responses, so that slow clients hold nothing but their connection. A
worker process is taken only for the time of the handler.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import time
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion10, web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from functions.http.correlation import CORRELATION_HEADER, correlation_id_for
from functions.http.responses import error_body, to_json
from functions.routing import function_for
from gateway.domain.file_url import FILE_URL_PREFIX
from gateway.errors import MethodNotAllowedError, PayloadTooLargeError, Problem, RequestError, RequestInvalidError
from gateway.limits import MAX_API_GATEWAY_PAYLOAD_BYTES
from gateway.redacting_log import stack_of
from local.api_event import HttpRequest, to_event
from local.lambda_runtime import EventTooLargeError, FunctionFailedError, FunctionTimedOutError
from local.waiting import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.file_server import FileServer
    from local.worker_pool import WorkerPool

# The methods of ANY in API Gateway.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_BY_SERVER = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
_INTERNAL_ERROR = "Internal error."

# For a connection without a complete head: a new one, or one that is kept alive between requests.
_HEAD_SECONDS = 10.0
_SILENCE_SECONDS = 5.0  # within a body
_BODY_SECONDS = 30.0  # for all of it
_LEAVING_SECONDS = 3.0  # for data that arrives after the response: 80 MiB take a tenth of that
_MAX_CONNECTIONS = 800  # below the usual limit of 1,024 open files
_MAX_LINE_BYTES = 8190
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ \S+ HTTP/1\.[01]\r?\n")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

logger = logging.getLogger("api")


class ApiServer(web.Server):
    """The HTTP server. `files`: serves the URLs under FILE_URL_PREFIX, if there are any."""

    def __init__(self, pool: WorkerPool, files: FileServer | None = None) -> None:
        super().__init__(self.respond, request_factory=self._request)
        self._pool = pool
        self._files = files
        self._waiting = WaitingRequests()

    def __call__(self) -> RequestHandler:
        """Make the protocol of a new connection."""
        return _Connection(self)

    def _request(self, *arguments: Any) -> _Request:  # noqa: ANN401  what aiohttp passes
        message, payload, protocol, writer, task = arguments
        return _Request(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to one request, and log it without its query, which may contain a key."""
        started = time.monotonic()
        correlation_id = correlation_id_for(_headers(request))
        response = await self._response(request, correlation_id)
        path = request.raw_path.partition("?")[0]
        milliseconds = int((time.monotonic() - started) * 1000)
        logger.info("%s %s %s %s %dms", request.remote, request.method, path, response.status, milliseconds)
        return response

    async def _response(self, request: web.BaseRequest, correlation_id: str) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        try:
            return await self._forward(request, correlation_id, request_id)
        except RequestError as error:
            return error_response(error, correlation_id)
        except FunctionTimedOutError as error:
            logger.error("%s", error)  # noqa: TRY400  the stack is of no use
            return _internal_error(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long.", correlation_id)
        except FunctionFailedError as error:
            logger.error("request %s: %s", request_id, error)  # noqa: TRY400  the worker has logged the stack
            return _internal_error(HTTPStatus.BAD_GATEWAY, _INTERNAL_ERROR, correlation_id)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001  aiohttp would respond with its own page
            logger.error("request %s failed\n%s", request_id, stack_of(error))  # noqa: TRY400  the message can be secret
            return _internal_error(HTTPStatus.BAD_GATEWAY, _INTERNAL_ERROR, correlation_id)

    async def _forward(self, request: web.BaseRequest, correlation_id: str, request_id: str) -> web.StreamResponse:
        """Return the file or the response of the function of this path. Raises RequestError, and what they raise."""
        if request.method not in _METHODS:
            raise MethodNotAllowedError(f"The method {request.method} is not supported.")
        path = request.raw_path.partition("?")[0]
        if request.version < HttpVersion10 or not path.startswith("/"):
            raise _invalid("The request is not valid HTTP/1.1: check its first line.")
        if self._files is not None and path.startswith(FILE_URL_PREFIX):
            return await self._files.respond(request, correlation_id)
        host, port = _local_address(request)
        received = HttpRequest(
            method=request.method,
            path=path,
            query=request.raw_path.partition("?")[2],
            headers=_headers(request),
            body=await _read_body(request),
            source_ip=request.remote or host,
            scheme=request.scheme,
            port=port,
        )
        event = to_event(received, request_id=request_id, received_at=datetime.now(UTC))
        async with self._waiting.admitted(event):
            try:
                return _from_lambda(await self._pool.invoke(function_for(received.method, path), event))
            except EventTooLargeError:
                raise _body_too_large() from None


class _Request(web.BaseRequest):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)  # version numbers only help attackers


class _Connection(RequestHandler):
    """One connection. Its errors have the form of those of the functions."""

    __slots__ = ("_ended_by_client", "_start_of_head")

    def __init__(self, server: ApiServer) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_HEAD_SECONDS,
            lingering_time=_LEAVING_SECONDS,
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp accepts None
        )
        self._start_of_head = b""
        self._ended_by_client = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection; close the longest without a request if there are too many."""
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > _MAX_CONNECTIONS:
            for other in self._manager.connections:
                if other is not self and not other._request_in_progress:  # noqa: SLF001  there is no public way
                    other.force_close()
                    return
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Parse; note how the head begins, for the error of one that cannot be parsed."""
        if not self._request_in_progress and not self._messages:
            self._start_of_head = (self._start_of_head + data)[:_MAX_LINE_BYTES]
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own protocols return whether to stay open
        """Respond also to a client that has ended its side of the connection."""
        self._ended_by_client.set()
        if self._waiter is not None and not self._waiter.done():
            return False  # no request is being processed
        bodies = [payload for _, payload in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError("the body is incomplete"))
                body.feed_eof()  # there is nothing left to wait for after the response
        self.close()
        return True

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002  aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  it can quote the request
    ) -> web.StreamResponse:
        """Return the response to bytes that are not a valid HTTP request, or to a failure here."""
        correlation_id = correlation_id_for(())
        if status != HTTPStatus.BAD_REQUEST:
            logger.error("request failed\n%s", stack_of(exc) if isinstance(exc, Exception) else "")
            response = _internal_error(HTTPStatus.BAD_GATEWAY, _INTERNAL_ERROR, correlation_id)
        else:
            logger.warning("invalid HTTP request: %s", type(exc).__name__)
            response = error_response(self._head_error(exc), correlation_id)
        self.close()
        return _LastResponse(response, self._ended_by_client)

    def _head_error(self, error: BaseException | None) -> RequestError:
        if isinstance(error, LineTooLong) or (isinstance(error, HttpProcessingError) and "Too many" in error.message):
            return PayloadTooLargeError("The request's path, query or headers are too long.")
        if isinstance(error, BadHttpMethod) and _REQUEST_LINE.match(self._start_of_head):
            return MethodNotAllowedError("The method is not supported.")
        return _invalid("The request is not valid HTTP/1.1: check its first line and its headers.")


class _LastResponse(web.Response):
    """A response to bytes that are no request. More of them may be on the way: a reset could overtake the response."""

    def __init__(self, response: web.Response, ended_by_client: asyncio.Event) -> None:
        super().__init__(status=response.status, headers=response.headers, body=response.body)
        self.force_close()
        self._ended_by_client = ended_by_client

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the rest, end this side, and discard what arrives until the client ends its side."""
        request = self._req
        await super().write_eof(data)
        transport = request.transport if request is not None else None
        if transport is not None and transport.can_write_eof():
            transport.write_eof()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended_by_client.wait(), _LEAVING_SECONDS)


async def _read_body(request: web.BaseRequest) -> bytes:
    """Return the whole body. Raises PayloadTooLargeError or RequestInvalidError."""
    if (request.content_length or 0) > MAX_API_GATEWAY_PAYLOAD_BYTES:
        raise _body_too_large()
    if not request.body_exists:
        return b""
    expectation = request.headers.get("Expect")
    if expectation is not None:
        if expectation.lower() != "100-continue":
            raise _invalid("The only supported value of Expect is 100-continue.")
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    content = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while not request.content.at_eof():
                async with asyncio.timeout(_SILENCE_SECONDS):
                    content += await request.content.readany()
                if len(content) > MAX_API_GATEWAY_PAYLOAD_BYTES:
                    raise _body_too_large()
    except TimeoutError:
        raise _invalid("The body did not arrive in time.") from None
    except (web.RequestPayloadError, HttpProcessingError, web.PayloadAccessError):
        raise _body_incomplete() from None
    if request.content.exception() is not None:  # the client ended the connection while nothing was being read
        raise _body_incomplete()
    return bytes(content)


def _headers(request: web.BaseRequest) -> Sequence[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]


def _local_address(request: web.BaseRequest) -> tuple[str, int]:
    address = request.transport.get_extra_info("sockname") if request.transport else None
    return (address[0], address[1]) if address else ("127.0.0.1", 80)


def _body_incomplete() -> RequestInvalidError:
    return _invalid("The body is incomplete, or its chunks are not valid HTTP/1.1.")


def _body_too_large() -> PayloadTooLargeError:
    return PayloadTooLargeError("The request body is too large.")


def _invalid(message: str) -> RequestInvalidError:
    return RequestInvalidError([Problem("", message)])


def _from_lambda(response: dict[str, Any]) -> web.Response:
    # Both kinds of headers are merged; multi-value ones replace single ones of the same name, as AWS documents.
    headers = {name.lower(): (name, [value]) for name, value in (response.get("headers") or {}).items()}
    headers |= {name.lower(): (name, values) for name, values in (response.get("multiValueHeaders") or {}).items()}
    pairs = [(name, str(value)) for key, (name, values) in headers.items() if key not in _BY_SERVER for value in values]
    if not all(_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in pairs):
        raise FunctionFailedError("A response header is not valid.")
    text = response.get("body") or ""
    body = base64.b64decode(text) if response.get("isBase64Encoded") else text.encode()
    return _response(response["statusCode"], pairs, body)


def _response(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> web.Response:
    made = web.Response(status=status, body=body)
    for name, value in headers:
        made.headers.add(name, value)
    return made


def error_response(error: RequestError, correlation_id: str) -> web.Response:
    """Make the response to a request that cannot be carried out."""
    body = error_body(
        error.code, error.message, error.details, retryable=error.retryable, correlation_id=correlation_id
    )
    response = _json(error.status, body, correlation_id)
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(sorted(_METHODS))
    return response


def _internal_error(status: HTTPStatus, message: str, correlation_id: str) -> web.Response:
    body = error_body("INTERNAL_ERROR", message, None, retryable=True, correlation_id=correlation_id)
    return _json(status, body, correlation_id)


def _json(status: int, body: Mapping[str, object], correlation_id: str) -> web.Response:
    headers = [("Content-Type", "application/json"), (CORRELATION_HEADER, correlation_id)]
    return _response(status, headers, to_json(body).encode())
