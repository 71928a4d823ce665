"""A proxy in front of AWS or ComfyUI that injects faults: it holds, breaks or replaces single requests.

All other requests pass unchanged, so that the server receives exactly what the executor sends, and the executor has
real connections, which are held, truncated and reset.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_UPSTREAM_SECONDS = 60
_HELD_SECONDS = 30
_HOP_HEADERS = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class ClientRequest:
    """A client's request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header; empty when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


@dataclass(frozen=True)
class ServerResponse:
    """The response to a request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def aws_step(request: ClientRequest) -> str:
    """Name the step of a job that a request to AWS belongs to; for other requests, the operation."""
    operation = request.header("X-Amz-Target").rpartition(".")[2]
    if operation == "UpdateItem":
        update = json.loads(request.body)["UpdateExpression"]
        return "claim" if "leaseOwner = " in update else "finish" if "#completedAt = " in update else "renew"
    return operation or f"{request.method.title()}Object"


def comfyui_step(request: ClientRequest) -> str:
    """Name a request to ComfyUI by its method and the first part of its path."""
    return f"{request.method} /{urlsplit(request.path).path.split('/')[1]}"


class ProxiedRequest:
    """One request in the proxy, and what can be done with it."""

    def __init__(self, handler: BaseHTTPRequestHandler, upstream: str, request: ClientRequest) -> None:
        self._handler = handler
        self._upstream = upstream
        self.request = request

    def with_body(self, body: bytes) -> ProxiedRequest:
        """Return this request with another body."""
        headers = {name: value for name, value in self.request.headers.items() if name.lower() != "content-length"}
        headers["Content-Length"] = str(len(body))
        request = ClientRequest(self.request.method, self.request.path, headers, body)
        return ProxiedRequest(self._handler, self._upstream, request)

    def forward(self) -> ServerResponse:
        """Send the request to the server; return the server's response without sending it to the client."""
        connection = http.client.HTTPConnection(self._upstream, timeout=_UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.request.method, self.request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.request.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(self.request.body)
            response = connection.getresponse()
            return ServerResponse(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def respond(self, response: ServerResponse, *, truncated: bool = False) -> None:
        """Send a response to the client; when truncated, half of its body and then a reset."""
        handler = self._handler
        handler.send_response_only(response.status)  # without a Date header of its own
        for name, value in response.headers.items():
            if name.lower() not in _HOP_HEADERS:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(response.body)))
        handler.end_headers()
        handler.wfile.write(response.body[: len(response.body) // 2] if truncated else response.body)
        if truncated:
            self.reset()

    def reset(self) -> None:
        """Reset the client's connection."""
        handler = self._handler
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.flush()
            # With a linger time of 0 the kernel sends a reset instead of a regular close.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (handler.rfile, handler.wfile, handler.connection):
            with suppress(OSError):
                end.close()
        handler.wfile = io.BytesIO()  # http.server flushes it at the end

    def hang(self) -> None:
        """Send nothing until the client closes the connection."""
        with suppress(OSError):
            self._handler.connection.recv(1)
        self.reset()


class Hold:
    """Holds a request, forwarded to the server or not, until the test resets its connection."""

    def __init__(self, step: str, *, forwarded: bool) -> None:
        self._step = step
        self._forwarded = forwarded
        self._reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, proxied: ProxiedRequest) -> None:
        """Hold the request, then reset its connection."""
        if self._forwarded:
            proxied.forward()
        self._reached.set()
        self._released.wait(_HELD_SECONDS)
        proxied.reset()

    def wait(self) -> None:
        """Wait until a request is held."""
        assert self._reached.wait(_HELD_SECONDS), f"no request to hold at {self._step}"

    def reset(self) -> None:
        """Reset the held request's connection."""
        self._released.set()


@dataclass
class _Rule:
    step: str
    fault: Callable[[ProxiedRequest], None]
    times: int


class FaultProxy:
    """A proxy in front of `upstream_url`. `step_of` names the step of a request; faults are injected by step.

    Clients use it as a server, or as their HTTP_PROXY: the requests of AWS's clients are signed with their Host.
    """

    def __init__(self, upstream_url: str, step_of: Callable[[ClientRequest], str]) -> None:
        self._step_of = step_of
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self.request_counts: Counter[str] = Counter()  # by step
        upstream = urlsplit(upstream_url).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError, TimeoutError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                # The client of a forward proxy sends the whole URL.
                path = self.path.removeprefix(f"http://{upstream}")
                request = ClientRequest(self.command, path, dict(self.headers.items()), body)
                proxy._handle(ProxiedRequest(self, upstream, request))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_request  # noqa: N815  http.server's names

            def log_message(self, *_: Any) -> None:  # noqa: ANN401  the base class passes anything
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """The proxy's own URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self, step: str, *, forwarded: bool) -> Hold:
        """Hold the next request of a step."""
        held = Hold(step, forwarded=forwarded)
        self.inject(step, held)
        return held

    def inject(self, step: str, fault: Callable[[ProxiedRequest], None], times: int = 1) -> None:
        """Handle the next requests of a step by `fault` instead of forwarding them."""
        with self._lock:
            self._rules.append(_Rule(step, fault, times))

    def clear_faults(self) -> None:
        """Forward all further requests."""
        with self._lock:
            self._rules.clear()

    def pending_faults(self) -> Counter[str]:
        """Count the faults that have not happened yet, by step."""
        with self._lock:
            return +Counter({rule.step: rule.times for rule in self._rules})

    def _handle(self, proxied: ProxiedRequest) -> None:
        step = self._step_of(proxied.request)
        fault = self._next_fault(step)
        if fault is None:
            proxied.respond(proxied.forward())
        else:
            fault(proxied)

    def _next_fault(self, step: str) -> Callable[[ProxiedRequest], None] | None:
        with self._lock:
            self.request_counts[step] += 1
            for rule in self._rules:
                if rule.step == step and rule.times > 0:
                    rule.times -= 1
                    return rule.fault
        return None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
