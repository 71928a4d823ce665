"""Accepts connections for an aiohttp server and can close every one of them at once.

asyncio's own servers forget a connection between the accept and the first call of its protocol, and aiohttp forgets
one that it is closing. A killed process has no such gaps: the kernel closes all its sockets. So this module accepts
connections itself and keeps the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BACKLOG = 128


class Listener:
    """A listening TCP socket and all open connections that it accepted; used within one event loop."""

    def __init__(self, host: str, port: int, make_protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Start to listen, before any connection is accepted. Raises OSError when the address is not available."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._listening.settimeout(0)
        self.port: int = self._listening.getsockname()[1]
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        # One entry per connection, until its socket is closed. The task opens the transport.
        self._connections: dict[socket.socket, asyncio.Task[asyncio.Transport]] = {}

    def start(self) -> None:
        """Accept connections from now on."""
        self._loop.add_reader(self._listening, self._accept)

    async def abort(self) -> None:
        """Stop listening and close all connections without any handshake, as the end of a process does."""
        self._loop.remove_reader(self._listening)
        self._listening.close()  # the kernel resets connections that were not accepted yet
        await asyncio.gather(*self._connections.values(), return_exceptions=True)
        while self._open_connections():
            for opening in self._connections.values():
                if not opening.cancelled() and opening.exception() is None:
                    opening.result().abort()
            await asyncio.sleep(0)  # asyncio closes the socket of an aborted transport in its next step

    def _accept(self) -> None:
        self._open_connections()
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # the client is gone again
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(0)
                self._connections[connection] = self._loop.create_task(self._open(connection))

    async def _open(self, connection: socket.socket) -> asyncio.Transport:
        try:
            transport, _ = await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except BaseException:
            connection.close()
            raise
        return transport

    def _open_connections(self) -> int:
        """Forget the connections whose sockets are closed, and count the others."""
        self._connections = {
            connection: opening for connection, opening in self._connections.items() if connection.fileno() >= 0
        }
        return len(self._connections)
