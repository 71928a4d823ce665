"""A gate in front of AWS or ComfyUI: a proxy that can hold a call, before or after it is carried out, or break it.

It looks at what passes and leaves it as it is, so that what stands behind it sees the very requests of the executor,
and the executor sees real connections, held, cut and reset.
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

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

_UPSTREAM_SECONDS = 60
_HELD_SECONDS = 30
_HOP_HEADERS = ("connection", "keep-alive", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Read a header; empty when there is none."""
        return next((value for given, value in self.headers.items() if given.lower() == name.lower()), "")


@dataclass(frozen=True)
class Response:
    """What it gets."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def aws_step(request: Request) -> str:
    """Name the step of a job that a request to AWS is; or its operation, when it is none."""
    operation = request.header("X-Amz-Target").rpartition(".")[2]
    if operation == "UpdateItem":
        update = json.loads(request.body)["UpdateExpression"]
        return "claim" if "leaseOwner = " in update else "finish" if "#completedAt = " in update else "renew"
    return operation or f"{request.method.title()}Object"


def comfyui_step(request: Request) -> str:
    """Name a request to ComfyUI by its method and the first part of its path."""
    return f"{request.method} /{urlsplit(request.path).path.split('/')[1]}"


class Passage:
    """One request on its way through the gate."""

    def __init__(self, handler: BaseHTTPRequestHandler, upstream: str, request: Request) -> None:
        self._handler = handler
        self._upstream = upstream
        self.request = request

    def with_body(self, body: bytes) -> Passage:
        """Make the same passage for another body."""
        headers = {name: value for name, value in self.request.headers.items() if name.lower() != "content-length"}
        headers["Content-Length"] = str(len(body))
        request = Request(self.request.method, self.request.path, headers, body)
        return Passage(self._handler, self._upstream, request)

    def forward(self) -> Response:
        """Have the request carried out."""
        connection = http.client.HTTPConnection(self._upstream, timeout=_UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.request.method, self.request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.request.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(self.request.body)
            answer = connection.getresponse()
            return Response(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def answer(self, response: Response, *, cut: bool = False) -> None:
        """Answer the client; when cut, with half of the body, and then nothing."""
        handler = self._handler
        handler.send_response_only(response.status)  # without a date of its own
        for name, value in response.headers.items():
            if name.lower() not in _HOP_HEADERS:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(response.body)))
        handler.end_headers()
        handler.wfile.write(response.body[: len(response.body) // 2] if cut else response.body)
        if cut:
            self.drop()

    def drop(self) -> None:
        """Reset the connection, without an answer unless there was one."""
        handler = self._handler
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.flush()
            # A lingering time of nothing makes the kernel send a reset in place of a proper end.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for end in (handler.rfile, handler.wfile, handler.connection):
            with suppress(OSError):
                end.close()
        handler.wfile = io.BytesIO()  # http.server flushes it at the end

    def wait_until_given_up(self) -> None:
        """Say nothing until the client closes the connection."""
        with suppress(OSError):
            self._handler.connection.recv(1)
        self.drop()


class Hold:
    """Holds a request, carried out or not, until the test lets go of it."""

    def __init__(self, step: str, *, carried_out: bool) -> None:
        self._step = step
        self._carried_out = carried_out
        self._reached = threading.Event()
        self._over = threading.Event()

    def __call__(self, passage: Passage) -> None:
        """Hold, then drop the connection."""
        if self._carried_out:
            passage.forward()
        self._reached.set()
        self._over.wait(_HELD_SECONDS)
        passage.drop()

    def wait(self) -> None:
        """Wait until a request is held."""
        if not self._reached.wait(_HELD_SECONDS):
            pytest.fail(f"nothing came to be held at {self._step}")

    def drop(self) -> None:
        """Drop its connection."""
        self._over.set()


@dataclass
class _Rule:
    step: str
    fault: Callable[[Passage], None]
    times: int


class Gate:
    """A proxy before `upstream_url`, which calls steps as `step_of` says. Rules are for the next requests of a step."""

    def __init__(self, upstream_url: str, step_of: Callable[[Request], str]) -> None:
        self._step_of = step_of
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self.passed: Counter[str] = Counter()
        upstream = urlsplit(upstream_url).netloc
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError, TimeoutError):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, dict(self.headers.items()), body)
                gate._let_pass(Passage(self, upstream, request))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = pass_on  # noqa: N815  http.server's names

            def log_message(self, *_: Any) -> None:  # noqa: ANN401  whatever is logged
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self, step: str, *, carried_out: bool) -> Hold:
        """Hold the next request of a step."""
        held = Hold(step, carried_out=carried_out)
        self.fail(step, held)
        return held

    def fail(self, step: str, fault: Callable[[Passage], None], times: int = 1) -> None:
        """Do something else with the next requests of a step."""
        with self._lock:
            self._rules.append(_Rule(step, fault, times))

    def mend(self) -> None:
        """Let everything pass again."""
        with self._lock:
            self._rules.clear()

    def left_to_fail(self) -> Counter[str]:
        """Count the requests that are still to come to harm."""
        with self._lock:
            return +Counter({rule.step: rule.times for rule in self._rules})

    def _let_pass(self, passage: Passage) -> None:
        step = self._step_of(passage.request)
        fault = self._take_fault(step)
        if fault is None:
            passage.answer(passage.forward())
        else:
            fault(passage)

    def _take_fault(self, step: str) -> Callable[[Passage], None] | None:
        with self._lock:
            self.passed[step] += 1
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
