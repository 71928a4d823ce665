"""The HTTP front of local mode: API Gateway's part, around the very handlers that run in Lambda.

A handler must not be run twice at once in one process: Powertools keeps the event being answered on the
resolver's class, so that parallel threads mix up their answers, even with one resolver each. Lambda never does it,
and neither does this front: gunicorn forks a good number of workers that answer one request at a time each. The
handlers are loaded before the fork, so that the workers share their memory.

Run by the supervisor: `python -m cli.local.front FD`, FD being a bound socket that it inherits.
"""

from __future__ import annotations

import base64
import errno
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
import time
import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]

from cli.local.api_event import HttpRequest, to_event
from cli.local.child import end_with_parent
from cli.local.lambda_runtime import (
    TIMEOUT_SECONDS,
    EventTooLargeError,
    FunctionFailedError,
    FunctionTimedOutError,
    invoke,
)
from functions.routing import DEFAULT_FUNCTION, FUNCTION_OF_SEGMENT, function_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from functions.wiring import Handler

# Sixteen clients waiting in `?wait=25` leave eight for those that want an answer now. Each worker that has answered
# once costs 15 to 30 MB of its own.
WORKERS = 24
# A client may hold a worker with half a request for as long. Answers have no such limits: their readers may be slow.
_SILENCE_SECONDS = 3.0
_REQUEST_SECONDS = 20.0  # for all of head and body
MAX_BODY_BYTES = 10 * 1024 * 1024  # of API Gateway, in both directions
# What ANY stands for in API Gateway.
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_BY_SERVER = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})

logger = logging.getLogger("gunicorn.error")


class Front:
    """The WSGI application. `handlers`: by function name, as functions.routing names them."""

    def __init__(self, handlers: Mapping[str, Handler], timeout_seconds: float) -> None:
        self._handlers = handlers
        self._timeout_seconds = timeout_seconds
        # The request as the server parsed it, set before each call: WSGI joins repeated headers and decodes paths.
        self.received: Any = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        status, headers, body = self._answer(environ, request_id)
        head = [*headers, ("Content-Length", str(len(body)))]
        without_body = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        start_response(f"{status} {_phrase(status)}", headers if without_body else head)
        return [] if without_body or environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: WSGIEnvironment, request_id: str) -> _Answer:
        if self.received.method not in _METHODS:
            message = f"The method {self.received.method} is not known here."
            status, headers, body = _error(HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message, request_id)
            return status, [*headers, ("Allow", ", ".join(sorted(_METHODS)))], body
        too_large = _error(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "PAYLOAD_TOO_LARGE", "The request body is too large.", request_id
        )
        content = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            _drain(environ)
            return too_large
        request = HttpRequest(
            method=self.received.method,
            path=self.received.path or "/",
            query=self.received.query or "",
            headers=self.received.headers,
            body=content,
            source_ip=environ["REMOTE_ADDR"],
            scheme=environ["wsgi.url_scheme"],
            port=int(environ["SERVER_PORT"]),
        )
        event = to_event(request, request_id=request_id, received_at=datetime.now(UTC))
        name = function_for(request.path)
        try:
            return _from_lambda(invoke(name, self._handlers[name], event, timeout_seconds=self._timeout_seconds))
        except EventTooLargeError:
            return too_large
        except FunctionTimedOutError as error:
            logger.error("%s", error)  # noqa: TRY400  there is no stack worth showing
            return _error(HTTPStatus.GATEWAY_TIMEOUT, "INTERNAL_ERROR", "The request took too long.", request_id)
        except FunctionFailedError:
            logger.exception("request %s", request_id)
            return _error(HTTPStatus.BAD_GATEWAY, "INTERNAL_ERROR", "Something went wrong on our side.", request_id)


_Answer = tuple[int, list[tuple[str, str]], bytes]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _drain(environ: WSGIEnvironment) -> None:
    # A client that is still sending would lose the answer to a reset; one that never stops is cut off.
    for _ in range(32):
        if not environ["wsgi.input"].read(1024 * 1024):
            return


def _from_lambda(answer: dict[str, Any]) -> _Answer:
    # Multi-value headers win over single ones of the same name; both are merged, as AWS documents it.
    headers = {name.lower(): (name, [value]) for name, value in (answer.get("headers") or {}).items()}
    headers |= {name.lower(): (name, values) for name, values in (answer.get("multiValueHeaders") or {}).items()}
    pairs = [(name, str(value)) for key, (name, values) in headers.items() if key not in _BY_SERVER for value in values]
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
    return answer["statusCode"], pairs, body


def _error(status: HTTPStatus, code: str, message: str, request_id: str) -> _Answer:
    body = {
        "error": code,
        "message": message,
        "details": None,
        "retryable": status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        "correlationId": request_id,
    }
    headers = [("Content-Type", "application/json"), ("X-Correlation-Id", request_id)]
    return status, headers, json.dumps(body, separators=(",", ":")).encode()


def load_handlers() -> dict[str, Handler]:
    """Import every function that routing names. They wire themselves as in Lambda: now, before the fork."""
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "local"
    names = {*FUNCTION_OF_SEGMENT.values(), DEFAULT_FUNCTION}
    return {name: importlib.import_module(f"functions.{name}").handler for name in names}


def serve(
    handlers: Mapping[str, Handler],
    *,
    listener_fd: int,
    workers: int = WORKERS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Serve until SIGTERM. `listener_fd`: a bound TCP socket. Does not return."""
    front = Front(handlers, timeout_seconds)
    end_worker = end_with_parent(signal.SIGKILL)

    def after_fork(_arbiter: object, _worker: object) -> None:
        if end_worker:
            end_worker()

    def before_request(worker: Any, request: object) -> None:  # noqa: ANN401  gunicorn has no types
        worker.wsgi.received = request

    _ignore_idle_connections(listener_fd)
    gc.collect()
    gc.freeze()  # or the first collection in each worker writes to, and so copies, what they share
    settings = {
        "bind": f"fd://{listener_fd}",
        "workers": workers,
        "preload_app": True,
        "worker_class": _Worker,
        "timeout": 60,  # the handlers' own limit comes first; this one is for clients that do not read their answer
        "graceful_timeout": 1,
        "pre_request": before_request,
        "post_fork": after_fork,
        # Python's own way out frees, and so first copies, all that a worker shares: 32 times over that takes a second.
        "worker_exit": lambda _arbiter, _worker: os._exit(0),
        "control_socket_disable": True,
        "worker_tmp_dir": None,
        "accesslog": "-",
        "access_log_format": "%(h)s %(m)s %({raw_uri}e)s %(s)s %(M)sms",
        "loglevel": "warning",
    }
    _Server(front, settings).run()


def _ignore_idle_connections(listener_fd: int) -> None:
    # Browsers open connections ahead of need. A worker waits for the request on the one it accepted, so it must
    # not see those before something is sent. Only Linux can do this; elsewhere each costs a worker for a while.
    if sys.platform == "linux":
        with socket.socket(fileno=os.dup(listener_fd)) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


class _Client:
    """A client's socket, of which only a request that arrives in time is read."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._deadline = time.monotonic() + _REQUEST_SECONDS

    def recv(self, size: int) -> bytes:
        """Read as a socket does. Raises ConnectionResetError, which gunicorn passes over in silence."""
        before = self._client.gettimeout()
        left = max(self._deadline - time.monotonic(), 0.001)  # 0 would mean something else
        self._client.settimeout(min(left, _SILENCE_SECONDS, before or _SILENCE_SECONDS))
        try:
            return self._client.recv(size)
        except TimeoutError:
            self._client.shutdown(socket.SHUT_RD)  # or gunicorn would wait for more once again before it closes
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from None
        finally:
            self._client.settimeout(before)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else gunicorn does with a socket
        return getattr(self._client, name)


class _Worker(SyncWorker):  # type: ignore[misc]  # gunicorn has no types
    def handle(self, listener: object, client: socket.socket, addr: object) -> None:
        super().handle(listener, _Client(client), addr)


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, front: Front, settings: Mapping[str, object]) -> None:
        self._front = front
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Front:
        return self._front


if __name__ == "__main__":
    serve(load_handlers(), listener_fd=int(sys.argv[1]))
