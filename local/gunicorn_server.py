"""The HTTP server under the front: gunicorn, set up to behave as API Gateway does towards clients.

A handler must not be run twice at once in one process: Powertools keeps the event being answered on the
resolver's class, so that parallel threads mix up their answers, even with one resolver each. Lambda never does it,
and neither does this server: gunicorn forks a good number of workers that answer one request at a time each. The
handlers are loaded before the fork, so that the workers share their memory.
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

# A client may hold a worker with half a request for as long. Answers have no such limits: their readers may be slow.
_SILENCE_SECONDS = 3.0
_REQUEST_SECONDS = 20.0  # for all of head and body
_LEAVING_SECONDS = 5.0  # for what it still sends when it is answered: 80 MiB take a tenth of that here


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
    gc.freeze()  # or the first collection in each worker writes to, and so copies, what they share
    wsgi.Response = _Response
    settings = {
        "bind": f"fd://{listener_fd}",
        "workers": workers,
        "preload_app": True,
        "worker_class": _Worker,
        "timeout": 60,  # the handlers' own limit comes first; this one is for clients that do not read their answer
        "graceful_timeout": 1,
        "permit_unconventional_http_method": True,  # the front says 405 to those that it does not know
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
    _Server(app, settings).run()


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
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError  # noqa: TRY301  the same end as that of a silent client
            self._client.settimeout(min(left, _SILENCE_SECONDS, before or _SILENCE_SECONDS))
            return self._client.recv(size)
        except TimeoutError:
            self._client.shutdown(socket.SHUT_RD)  # or gunicorn would wait for more once again before it closes
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from None
        finally:
            self._client.settimeout(before)

    def shutdown(self, how: int) -> None:
        """Say that the answer is over, and pass over what is still sent: a reset could overtake the answer."""
        self._client.shutdown(how)
        self._deadline = time.monotonic() + _LEAVING_SECONDS
        with contextlib.suppress(OSError):
            while self.recv(1024 * 1024):
                pass

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever else gunicorn does with a socket
        return getattr(self._client, name)


class _Worker(SyncWorker):  # type: ignore[misc]  # gunicorn has no types
    def run(self) -> None:
        """Serve. As gunicorn waits, by select(), each connection would wake every idle worker; so it wakes one."""
        self._bell = None
        if sys.platform == "linux":
            self._bell = select.epoll()
            self._bell.register(self.PIPE[0], select.EPOLLIN)
            for listener in self.sockets:
                self._bell.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        super().run()

    def wait(self, timeout: float) -> None:
        if self._bell is None:
            super().wait(timeout)
            return
        self.notify()
        if any(fd == self.PIPE[0] for fd, _ in self._bell.poll(timeout)):
            os.read(self.PIPE[0], 1)

    def handle(self, listener: object, client: socket.socket, addr: object) -> None:
        super().handle(listener, _Client(client), addr)

    def handle_error(self, req: object, client: socket.socket, addr: object, exc: Exception) -> None:  # noqa: ARG002  gunicorn's own signature
        """Answer in the front's words, where gunicorn would in its own."""
        status, headers, body = (
            self.wsgi.respond_to_unreadable(exc) if req is None else self.wsgi.respond_to_failure(exc)
        )
        headers = [*headers, ("Content-Length", str(len(body))), ("Connection", "close")]
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
        with contextlib.suppress(OSError):  # it is gone
            client.sendall(head.encode("latin-1") + b"\r\n" + body)


class _Response(wsgi.Response):  # type: ignore[misc]  # gunicorn has no types
    def default_headers(self) -> list[str]:
        """Say nothing of the server."""
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
