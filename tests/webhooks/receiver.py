"""Webhook receivers with a chosen behavior, also a faulty one: real servers, in threads."""

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
    """A received request."""

    line: str  # POST /hook HTTP/1.1
    headers: dict[str, str]  # names in lower case
    body: bytes


Behavior = Callable[["Receiver", socket.socket], None]  # runs after a request was received


class Receiver:
    """Responds to the n-th request with the n-th behavior; the last behavior is repeated."""

    def __init__(self, *behaviors: Behavior, tls: ssl.SSLContext | None = None) -> None:
        self.behaviors = list(behaviors)
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
        """Its address."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/hook?token=t0ken"

    @property
    def ids(self) -> list[str]:
        """The received webhook ids, in order."""
        return [request.headers["webhook-id"] for request in self.received]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with suppress(OSError):  # ends the `accept` of the listening thread
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
                    behavior = self.behaviors[min(len(self.received), len(self.behaviors)) - 1]
                behavior(self, connection)


def _read(connection: socket.socket) -> Received:
    stream = connection.makefile("rb")
    with stream:
        line = stream.readline().decode("latin-1").strip()
        headers = {}
        while header := stream.readline().decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        return Received(line, headers, stream.read(int(headers.get("content-length", "0"))))


def responds(status: int, *headers: str, body: bytes = b"") -> Behavior:
    """Send a complete response with this status."""
    lines = [f"HTTP/1.1 {status} Reason", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]

    def respond(_receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall("\r\n".join(lines).encode() + body)

    return respond


def sends(content: bytes) -> Behavior:
    """Send these bytes and close the connection."""

    def send(_receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(content)

    return send


def hangs(content: bytes = b"") -> Behavior:
    """Send these bytes, then nothing more, and keep the connection open."""

    def hang(receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(content)
        receiver.closing.wait(30)

    return hang


def drips(start: bytes, piece: bytes) -> Behavior:
    """Send a start, then small pieces without end."""

    def drip(receiver: Receiver, connection: socket.socket) -> None:
        connection.sendall(start)
        while not receiver.closing.wait(0.02):
            connection.sendall(piece)

    return drip


def waits(seconds: float, then: Behavior) -> Behavior:
    """Wait, then apply another behavior."""

    def wait(receiver: Receiver, connection: socket.socket) -> None:
        receiver.closing.wait(seconds)
        then(receiver, connection)

    return wait
