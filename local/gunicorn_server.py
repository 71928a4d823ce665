"""Serve HTTP with gunicorn, configured to behave towards clients as API Gateway does.

A handler must not run concurrently in one process: Powertools stores the current event on the class of the resolver,
so parallel threads would mix up their responses, even with one resolver each. Lambda never runs it concurrently, and
neither does this server: gunicorn forks many workers that process one request at a time. The handlers are loaded
before the fork, so that the workers share their memory.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.workers.sync import SyncWorker  # type: ignore[import-untyped]

from local.child_process import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

HttpResponse = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body

# Limits for clients that block a worker with an incomplete request. Responses have none: readers may be slow.
_SILENCE_SECONDS = 3.0
_REQUEST_SECONDS = 20.0  # for all of head and body
_LEAVING_SECONDS = 5.0  # for data that arrives after the response: 80 MiB take a tenth of that


class WsgiApp(Protocol):
    """What this server calls: a WSGI application that also renders the responses to requests it never gets."""

    received: Any

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Return the body of the response to a request."""

    def respond_to_unreadable(self, error: Exception) -> HttpResponse:
        """Return the response to bytes that are not a valid HTTP request."""

    def respond_to_failure(self, error: BaseException) -> HttpResponse:
        """Return the response to a request that failed in this application or server."""


def serve(app: WsgiApp, *, listener_fd: int, workers: int) -> None:
    """Serve until SIGTERM. `listener_fd`: a bound TCP socket. Does not return."""
    end_worker = end_with_parent(signal.SIGKILL)

    def after_fork(_arbiter: object, _worker: object) -> None:
        if end_worker:
            end_worker()

    def before_request(_worker: object, request: object) -> None:
        app.received = request

    _ignore_idle_connections(listener_fd)
    gc.collect()
    gc.freeze()  # otherwise the first collection in each worker writes to the shared memory and so copies it
    wsgi.Response = _Response
    settings = {
        "bind": f"fd://{listener_fd}",
        "workers": workers,
        "preload_app": True,
        "worker_class": _Worker,
        "timeout": 60,  # for clients that do not read their response; handlers have a lower limit
        "graceful_timeout": 1,
        "permit_unconventional_http_method": True,  # the application returns 405 for unknown ones
        "pre_request": before_request,
        "post_fork": after_fork,
        # A normal exit frees, and so first copies, all shared memory: with all workers that takes a second.
        "worker_exit": lambda _arbiter, _worker: os._exit(0),
        "control_socket_disable": True,
        "worker_tmp_dir": None,
        "accesslog": "-",
        "access_log_format": "%(h)s %(m)s %({raw_uri}e)s %(s)s %(M)sms",
        "loglevel": "warning",
    }
    _Server(app, settings).run()


def _ignore_idle_connections(listener_fd: int) -> None:
    # Browsers open connections in advance. A worker waits for the request on the connection that it accepted, so it
    # must not accept one before data arrives. Only Linux can do this; elsewhere each blocks a worker for a while.
    if sys.platform == "linux":
        with socket.socket(fileno=os.dup(listener_fd)) as listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)


class _Client:
    """The socket of a client, with a time limit for receiving the request."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._deadline = time.monotonic() + _REQUEST_SECONDS

    def recv(self, size: int) -> bytes:
        """Read like a socket. Raises ConnectionResetError on timeout, which gunicorn ignores silently."""
        before = self._client.gettimeout()
        remaining = self._deadline - time.monotonic()
        try:
            if remaining <= 0:
                raise TimeoutError  # noqa: TRY301  handled like a silent client
            self._client.settimeout(min(remaining, _SILENCE_SECONDS, before or _SILENCE_SECONDS))
            return self._client.recv(size)
        except TimeoutError:
            self._client.shutdown(socket.SHUT_RD)  # otherwise gunicorn waits for more data before it closes
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from None
        finally:
            self._client.settimeout(before)

    def shutdown(self, how: int) -> None:
        """End the response and discard data that still arrives: a reset could overtake the response."""
        self._client.shutdown(how)
        self._deadline = time.monotonic() + _LEAVING_SECONDS
        with contextlib.suppress(OSError):
            while self.recv(1024 * 1024):
                pass

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  the other methods of a socket
        return getattr(self._client, name)


class _Worker(SyncWorker):  # type: ignore[misc]  # gunicorn has no types
    def run(self) -> None:
        """Serve. With gunicorn's select(), each connection would wake all idle workers; epoll wakes one."""
        self._poller = None
        if sys.platform == "linux":
            self._poller = select.epoll()
            self._poller.register(self.PIPE[0], select.EPOLLIN)
            for listener in self.sockets:
                self._poller.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        super().run()

    def wait(self, timeout: float) -> None:
        if self._poller is None:
            super().wait(timeout)
            return
        self.notify()
        if any(fd == self.PIPE[0] for fd, _ in self._poller.poll(timeout)):
            os.read(self.PIPE[0], 1)

    def handle(self, listener: object, client: socket.socket, addr: object) -> None:
        super().handle(listener, _Client(client), addr)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: Exception) -> None:  # noqa: ARG002  gunicorn's signature
        """Send the error response of the application instead of gunicorn's page."""
        status, headers, body = (
            self.wsgi.respond_to_unreadable(exc) if req is None else self.wsgi.respond_to_failure(exc)
        )
        headers = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
        with contextlib.suppress(OSError):  # the client is gone
            client.sendall(head.encode("latin-1") + b"\r\n" + body)


class _Response(wsgi.Response):  # type: ignore[misc]  # gunicorn has no types
    def default_headers(self) -> list[str]:
        """Omit the Server header."""
        return [line for line in super().default_headers() if not line.startswith("Server:")]


class _Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, app: WsgiApp, settings: Mapping[str, object]) -> None:
        self._app = app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> WsgiApp:
        return self._app
