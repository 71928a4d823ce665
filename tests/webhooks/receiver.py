"""Webhook receivers that misbehave as they are told: real servers, in threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class Received:
    """A request as it came in."""

    line: str  # POST /hook HTTP/1.1
    headers: dict[str, str]  # names in lower case
    body: bytes


Behaviour = Callable[["Receiver", socket.socket], None]  # what is done once a request is in


class Receiver:
    """Answers the first request by the first behaviour, and so on; the last one goes for all that follow."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviours = list(behaviours)
        self.received: list[Received] = []
        self.connections = 0
        self.closing = threading.Event()
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hook?token=t0ken"

    @property
    def ids(self) -> list[str]:
        """The webhook ids that came in, in order."""
        return [request.headers["webhook-id"] for request in self.received]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with suppress(OSError):  # wakes up the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=[connection])
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                request = _read(connection)
                with self._lock:
                    self.received.append(request)
                    behaviour = self.behaviours[min(len(self.received), len(self.behaviours)) - 1]
                behaviour(self, connection)


def _read(connection: socket.socket) -> Received:
    stream = connection.makefile("rb")
    with stream:
        line = stream.readline().decode("latin-1").strip()
        headers = {}
        while header := stream.readline().decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        return Received(line, headers, stream.read(int(headers.get("content-length", "0"))))


def answers(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer as servers do."""
    lines = [f"HTTP/1.1 {status} Whatever", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]

    def answer(_receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall("\r\n".join(lines).encode() + body)

    return answer


def sends(content: bytes) -> Behaviour:
    """Send these bytes and close."""

    def send(_receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(content)

    return send


def hangs(content: bytes = b"") -> Behaviour:
    """Send these bytes, and then neither anything more nor an end."""

    def hang(receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(content)
        receiver.closing.wait(30)

    return hang


def drips(start: bytes, drop: bytes) -> Behaviour:
    """Send a start, and then a little at a time without an end."""

    def drip(receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(start)
        while not receiver.closing.wait(0.02):
            connection.sendall(drop)

    return drip


def waits(seconds: float, then: Behaviour) -> Behaviour:
    """Do something after a while."""

    def wait(receiver: Receiver, connection: socket.socket) -> None:
        receiver.closing.wait(seconds)
        then(receiver, connection)

    return wait
