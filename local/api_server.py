"""Forward HTTP requests to the Lambda handlers, as API Gateway does."""

from __future__ import annotations

import base64
import logging
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)

from functions.http.correlation import CORRELATION_HEADER, correlation_id_for
from functions.http.responses import error_body, to_json
from functions.routing import function_for
from gateway.errors import MethodNotAllowedError, PayloadTooLargeError, Problem, RequestError, RequestInvalidError
from gateway.limits import MAX_API_GATEWAY_PAYLOAD_BYTES
from gateway.redacting_log import stack_of
from local.api_event import HttpRequest, to_event
from local.lambda_runtime import EventTooLargeError, FunctionFailedError, FunctionTimedOutError, invoke

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from functions.wiring.entry import Handler
    from local.gunicorn_server import HttpResponse

# The methods of ANY in API Gateway.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_BY_SERVER = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})

_INTERNAL_ERROR = "Internal error."

logger = logging.getLogger("gunicorn.error")


class ApiServer:
    """The WSGI application. `handlers`: by function name, as functions.routing names them."""

    def __init__(self, handlers: Mapping[str, Handler], timeout_seconds: float) -> None:
        self._handlers = handlers
        self._timeout_seconds = timeout_seconds
        # The request as the server parsed it, set before each call: WSGI joins repeated headers and decodes paths.
        self.received: Any = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to one request."""
        status, headers, body = self._respond(environ)
        head = [*headers, ("Content-Length", str(len(body)))]
        without_body = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        start_response(f"{status} {_phrase(status)}", headers if without_body else head)
        return [] if without_body or environ["REQUEST_METHOD"] == "HEAD" else [body]

    def respond_to_unreadable(self, error: Exception) -> HttpResponse:
        """Return the response to bytes that are not a valid HTTP request."""
        logger.warning("invalid HTTP request: %s", type(error).__name__)  # the message could quote the request
        return _error_response(_head_error(error), correlation_id_for(()))

    def respond_to_failure(self, error: BaseException) -> HttpResponse:
        """Return the response to a request that failed here, or whose response headers were invalid."""
        logger.error("request failed", exc_info=error)
        return _internal_error(HTTPStatus.BAD_GATEWAY, _INTERNAL_ERROR, correlation_id_for(self.received.headers))

    def _respond(self, environ: WSGIEnvironment) -> HttpResponse:
        correlation_id = correlation_id_for(self.received.headers)
        request_id = str(uuid.uuid4())
        try:
            return self._forward(environ, request_id)
        except RequestError as error:
            return _error_response(error, correlation_id)
        except FunctionTimedOutError as error:
            logger.error("%s", error)  # noqa: TRY400  the stack is of no use
            return _internal_error(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long.", correlation_id)
        except FunctionFailedError as error:
            # Only the stack: the message may contain what the caller sent.
            logger.error("request %s: %s\n%s", request_id, error, stack_of(error))  # noqa: TRY400
            return _internal_error(HTTPStatus.BAD_GATEWAY, _INTERNAL_ERROR, correlation_id)

    def _forward(self, environ: WSGIEnvironment, request_id: str) -> HttpResponse:
        """Return the response of the function of this path. Raises RequestError, and what `invoke` raises."""
        if self.received.method not in _METHODS:
            raise MethodNotAllowedError(f"The method {self.received.method} is not supported.")
        request = HttpRequest(
            method=self.received.method,
            path=self.received.path or "/",
            query=self.received.query or "",
            headers=self.received.headers,
            body=_read_body(environ),
            source_ip=environ["REMOTE_ADDR"],
            scheme=environ["wsgi.url_scheme"],
            port=int(environ["SERVER_PORT"]),
        )
        event = to_event(request, request_id=request_id, received_at=datetime.now(UTC))
        name = function_for(request.method, request.path)
        try:
            return _from_lambda(invoke(name, self._handlers[name], event, timeout_seconds=self._timeout_seconds))
        except EventTooLargeError:
            raise _body_too_large() from None


def _head_error(error: Exception) -> RequestError:
    if isinstance(error, LimitRequestLine):
        return PayloadTooLargeError("The request's path and query are too long.")
    if isinstance(error, LimitRequestHeaders):
        return PayloadTooLargeError("The request's headers are too large, or too many.")
    if isinstance(error, ExpectationFailed):
        return _invalid("The only supported value of Expect is 100-continue.")
    return _invalid("The request is not valid HTTP/1.1: check its first line and its headers.")


def _read_body(environ: WSGIEnvironment) -> bytes:
    """Return the whole body. Raises PayloadTooLargeError or RequestInvalidError."""
    declared_bytes = int(environ.get("CONTENT_LENGTH") or 0)
    if declared_bytes > MAX_API_GATEWAY_PAYLOAD_BYTES:
        raise _body_too_large()
    try:
        content = environ["wsgi.input"].read(MAX_API_GATEWAY_PAYLOAD_BYTES + 1)
    except (ParseException, NoMoreData):
        raise _invalid("The body's chunks are not valid HTTP/1.1, or incomplete.") from None
    if len(content) > MAX_API_GATEWAY_PAYLOAD_BYTES:
        raise _body_too_large()
    if len(content) < declared_bytes:
        raise _invalid("The body is shorter than its Content-Length.")
    return bytes(content)


def _body_too_large() -> PayloadTooLargeError:
    return PayloadTooLargeError("The request body is too large.")


def _invalid(message: str) -> RequestInvalidError:
    return RequestInvalidError([Problem("", message)])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _from_lambda(response: dict[str, Any]) -> HttpResponse:
    # Both kinds of headers are merged; multi-value ones replace single ones of the same name, as AWS documents.
    headers = {name.lower(): (name, [value]) for name, value in (response.get("headers") or {}).items()}
    headers |= {name.lower(): (name, values) for name, values in (response.get("multiValueHeaders") or {}).items()}
    pairs = [(name, str(value)) for key, (name, values) in headers.items() if key not in _BY_SERVER for value in values]
    text = response.get("body") or ""
    body = base64.b64decode(text) if response.get("isBase64Encoded") else text.encode()
    return response["statusCode"], pairs, body


def _error_response(error: RequestError, correlation_id: str) -> HttpResponse:
    body = error_body(
        error.code, error.message, error.details, retryable=error.retryable, correlation_id=correlation_id
    )
    status, headers, content = _json(error.status, body, correlation_id)
    allow = [("Allow", ", ".join(sorted(_METHODS)))] if isinstance(error, MethodNotAllowedError) else []
    return status, [*headers, *allow], content


def _internal_error(status: HTTPStatus, message: str, correlation_id: str) -> HttpResponse:
    body = error_body("INTERNAL_ERROR", message, None, retryable=True, correlation_id=correlation_id)
    return _json(status, body, correlation_id)


def _json(status: int, body: Mapping[str, object], correlation_id: str) -> HttpResponse:
    headers = [("Content-Type", "application/json"), (CORRELATION_HEADER, correlation_id)]
    return status, headers, to_json(body).encode()
