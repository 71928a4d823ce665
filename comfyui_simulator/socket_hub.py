"""The connected WebSockets, and the one queue for all messages to them.

As on the real server, a single task sends all messages of all clients in turn. That keeps their order, and it makes
one client that stops reading stall the messages of all others (recorded: non-reading client stalls all).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import uuid
from typing import TYPE_CHECKING

from aiohttp import ClientError, WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from comfyui_simulator.faults import Faults
    from comfyui_simulator.types import JsonObject

SERVER_FEATURES: JsonObject = {"supports_preview_metadata": True, "max_upload_size": 100 * 1024 * 1024}

_PREVIEW = 1
_TEXT = 3
_PREVIEW_WITH_METADATA = 4
_IMAGE_FORMATS = {"image/jpeg": 1, "image/png": 2}


class SocketHub:
    """Connected clients and the messages to them; `send_*` may be called from any thread.

    A recipient of None means all clients (recorded: no client_id).
    """

    def __init__(self, faults: Faults, queue_remaining: Callable[[], int]) -> None:
        self._faults = faults
        self._queue_remaining = queue_remaining
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._transports: set[asyncio.Transport] = set()
        self._wants_metadata: set[str] = set()
        self._outbox: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self.running_client_id: str | None = None
        """Client of the current or last prompt."""
        self.running_node_id: str | None = None
        """The node that is running."""

    def send_json(self, event: str, data: JsonObject, client_id: str | None) -> None:
        """Send an event to a client."""
        self._enqueue(json.dumps({"type": event, "data": data}), client_id)

    def send_status(self) -> None:
        """Send all clients the number of waiting and running prompts."""
        self.send_json("status", {"status": self.status()}, None)

    def send_preview(self, image: bytes, mime_type: str, metadata: JsonObject, client_id: str | None) -> None:
        """Send an image: with its metadata to clients that asked for it, else in the older form."""
        if self.wants_metadata(client_id):
            header = json.dumps({**metadata, "image_type": mime_type}).encode()
            frame = struct.pack(">II", _PREVIEW_WITH_METADATA, len(header)) + header + image
        else:
            frame = struct.pack(">II", _PREVIEW, _IMAGE_FORMATS[mime_type]) + image
        self._enqueue(frame, client_id)

    def send_text(self, text: str, node_id: str, client_id: str | None) -> None:
        """Send a text that a node shows while it runs."""
        node = node_id.encode()
        self._enqueue(struct.pack(">II", _TEXT, len(node)) + node + text.encode(), client_id)

    def wants_metadata(self, client_id: str | None) -> bool:
        """Return whether a client declared that it understands previews with metadata."""
        return client_id in self._wants_metadata

    def status(self) -> JsonObject:
        """Return the data of status messages and of GET /prompt."""
        return {"exec_info": {"queue_remaining": self._queue_remaining()}}

    def _enqueue(self, message: str | bytes, client_id: str | None) -> None:
        # The loop is closed once the server has stopped; there are no clients then.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._outbox.put_nowait, (message, client_id))

    async def publish(self) -> None:
        """Send queued messages, one after the other, until canceled."""
        while True:
            message, client_id = await self._outbox.get()
            if self._faults.silent_sockets:
                continue
            recipients = self._sockets.values() if client_id is None else [self._sockets.get(client_id)]
            for socket in list(recipients):
                if socket is not None:
                    await self._send(socket, message)

    async def _send(self, socket: web.WebSocketResponse, message: str | bytes) -> None:
        with contextlib.suppress(ClientError, ConnectionError):
            if self._faults.garbage_frames:
                await socket.send_str('{"type": "progress", "da')
                await socket.send_str("[" * 100_000)
                await socket.send_bytes(b"\x00\x00")
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve GET /ws until the client disconnects."""
        # Pings are answered below, so that a socket can be made as silent as a dead connection.
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:  # disconnected during the handshake
            return socket
        self._transports.add(transport)
        client_id = request.query.get("clientId", "") or uuid.uuid4().hex
        # A second socket under the same id takes over. When the first one closes, it takes the entry of the second
        # with it, which then receives nothing (recorded: two sockets, same clientId).
        self._sockets[client_id] = socket
        self._wants_metadata.discard(client_id)
        self.send_json("status", {"status": self.status(), "sid": client_id}, client_id)
        if client_id == self.running_client_id and self.running_node_id is not None:
            self.send_json("executing", {"node": self.running_node_id}, client_id)
        try:
            await self._read(socket, client_id)
        finally:
            self._transports.discard(transport)
            self._sockets.pop(client_id, None)
            self._wants_metadata.discard(client_id)
        return socket

    async def _read(self, socket: web.WebSocketResponse, client_id: str) -> None:
        is_first = True
        async for message in socket:
            if message.type is WSMsgType.PING and not self._faults.silent_sockets:
                with contextlib.suppress(ConnectionError):
                    await socket.pong(message.data)
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                content = json.loads(message.data)
            except ValueError:
                continue
            # Only the client's first valid message can declare features.
            if is_first and isinstance(content, dict) and content.get("type") == "feature_flags":
                features = content.get("data")
                if isinstance(features, dict) and features.get("supports_preview_metadata"):
                    self._wants_metadata.add(client_id)
                self.send_json("feature_flags", SERVER_FEATURES, client_id)
            is_first = False

    def close_all(self) -> None:
        """Abort all connections without a closing handshake; call this in the event loop of the server."""
        for transport in list(self._transports):
            transport.abort()
