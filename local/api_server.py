"""The WSGI application that forwards HTTP requests to the Lambda handlers, as API Gateway does."""

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

# What ANY stands for in API Gateway.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_BY_SERVER = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})

_OUR_SIDE = "Something went wrong on our side."

logger = logging.getLogger("gunicorn.error")


class ApiServer:
    """The WSGI application. `handlers`: by function name, as functions.routing names them."""

    def __init__(self, handlers: Mapping[str, Handler], timeout_seconds: float) -> None:
        self._handlers = handlers
        self._timeout_seconds = timeout_seconds
        # The request as the server parsed it, set before each call: WSGI joins repeated headers and decodes paths.
        self.received: Any = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, headers, body = self._answer(environ)
        head = [*headers, ("Content-Length", str(len(body)))]
        without_body = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        start_response(f"{status} {_phrase(status)}", headers if without_body else head)
        return [] if without_body or environ["REQUEST_METHOD"] == "HEAD" else [body]

    def respond_to_unreadable(self, error: Exception) -> HttpResponse:
        """Answer what the server cannot read as a request."""
        logger.warning("a request that cannot be read: %s", type(error).__name__)  # more could quote what was sent
        return _refusal(_problem_with_head(error), correlation_id_for(()))

    def respond_to_failure(self, error: BaseException) -> HttpResponse:
        """Answer a request that this front, or an answer that no client could read, has failed."""
        logger.error("the front failed", exc_info=error)
        return _failure(HTTPStatus.BAD_GATEWAY, _OUR_SIDE, correlation_id_for(self.received.headers))

    def _answer(self, environ: WSGIEnvironment) -> HttpResponse:
        correlation_id = correlation_id_for(self.received.headers)
        request_id = str(uuid.uuid4())
        try:
            return self._forwarded(environ, request_id)
        except RequestError as error:
            return _refusal(error, correlation_id)
        except FunctionTimedOutError as error:
            logger.error("%s", error)  # noqa: TRY400  there is no stack worth showing
            return _failure(HTTPStatus.GATEWAY_TIMEOUT, "The request took too long.", correlation_id)
        except FunctionFailedError as error:
            # Where, but not what: the message may hold what the caller sent.
            logger.error("request %s: %s\n%s", request_id, error, stack_of(error))  # noqa: TRY400
            return _failure(HTTPStatus.BAD_GATEWAY, _OUR_SIDE, correlation_id)

    def _forwarded(self, environ: WSGIEnvironment, request_id: str) -> HttpResponse:
        """Have a function answer. Raises what it raises, and RequestError."""
        if self.received.method not in _METHODS:
            raise MethodNotAllowedError(f"The method {self.received.method} is not known here.")
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


def _problem_with_head(error: Exception) -> RequestError:
    if isinstance(error, LimitRequestLine):
        return PayloadTooLargeError("The request's path and query are too long.")
    if isinstance(error, LimitRequestHeaders):
        return PayloadTooLargeError("The request's headers are too large, or too many.")
    if isinstance(error, ExpectationFailed):
        return _malformed("Of what Expect can ask for, only 100-continue is known here.")
    return _malformed("The request is not valid HTTP/1.1; see to its first line and its headers.")


def _read_body(environ: WSGIEnvironment) -> bytes:
    """Read all of it. Raises PayloadTooLargeError or RequestInvalidError."""
    declared_bytes = int(environ.get("CONTENT_LENGTH") or 0)
    if declared_bytes > MAX_API_GATEWAY_PAYLOAD_BYTES:
        raise _body_too_large()
    try:
        content = environ["wsgi.input"].read(MAX_API_GATEWAY_PAYLOAD_BYTES + 1)
    except (ParseException, NoMoreData):
        raise _malformed("The body's chunks are not valid HTTP/1.1, or end too early.") from None
    if len(content) > MAX_API_GATEWAY_PAYLOAD_BYTES:
        raise _body_too_large()
    if len(content) < declared_bytes:
        raise _malformed("The body is shorter than its Content-Length.")
    return bytes(content)


def _body_too_large() -> PayloadTooLargeError:
    return PayloadTooLargeError("The request body is too large.")


def _malformed(message: str) -> RequestInvalidError:
    return RequestInvalidError([Problem("", message)])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _from_lambda(answer: dict[str, Any]) -> HttpResponse:
    # Multi-value headers win over single ones of the same name; both are merged, as AWS documents it.
    headers = {name.lower(): (name, [value]) for name, value in (answer.get("headers") or {}).items()}
    headers |= {name.lower(): (name, values) for name, values in (answer.get("multiValueHeaders") or {}).items()}
    pairs = [(name, str(value)) for key, (name, values) in headers.items() if key not in _BY_SERVER for value in values]
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return answer["statusCode"], pairs, body


def _refusal(error: RequestError, correlation_id: str) -> HttpResponse:
    body = error_body(
        error.code, error.message, error.details, retryable=error.retryable, correlation_id=correlation_id
    )
    status, headers, content = _json(error.status, body, correlation_id)
    allow = [("Allow", ", ".join(sorted(_METHODS)))] if isinstance(error, MethodNotAllowedError) else []
    return status, [*headers, *allow], content


def _failure(status: HTTPStatus, message: str, correlation_id: str) -> HttpResponse:
    body = error_body("INTERNAL_ERROR", message, None, retryable=True, correlation_id=correlation_id)
    return _json(status, body, correlation_id)


def _json(status: int, body: Mapping[str, object], correlation_id: str) -> HttpResponse:
    headers = [("Content-Type", "application/json"), (CORRELATION_HEADER, correlation_id)]
    return status, headers, to_json(body).encode()
