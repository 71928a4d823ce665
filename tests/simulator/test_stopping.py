"""A stopped simulator closes all its connections, in any state and on a busy machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from comfyui_simulator import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 10
CLIENTS = 6
TIMEOUT_SECONDS = 10
REQUEST = b"GET /system_stats HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Keep every core busy."""
    with contextlib.ExitStack() as processes:
        for _ in range(os.cpu_count() or 1):
            burner = processes.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            processes.callback(burner.kill)
        yield


class Client(threading.Thread):
    """Opens connections and leaves them idle, half sent or busy, until the port is closed; keeps them open."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.connections: list[socket.socket] = []

    def run(self) -> None:
        """Connect again and again."""
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
            for number in range(12):
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_SECONDS)
                self.connections.append(connection)
                connection.sendall((b"", REQUEST[:10], REQUEST, 20 * REQUEST)[number % 4])


def is_closed(connection: socket.socket) -> bool:
    """Read what is still buffered; return whether the end of the connection follows."""
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.usefixtures("busy_cores")
def test_no_connection_outlives_the_server() -> None:
    """Clients that connect at the moment of the stop are disconnected as well, as by the exit of a process."""
    with SimulatorServer() as server:
        for _ in range(ROUNDS):
            clients = [Client(int(server.url.rpartition(":")[2])) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            server.kill()
            for client in clients:
                client.join(TIMEOUT_SECONDS)
            connections = [connection for client in clients for connection in client.connections]
            closed = [is_closed(connection) for connection in connections]
            for connection in connections:
                connection.close()
            assert all(closed)
            server.start()
