"""ComfyUI's WebSocket: progress while a prompt runs, and a hint to look at the history.

It is never the truth. Sockets go silent, events get lost, an error message may not be the end; so
whoever waits for a prompt polls as well, and this only makes it quicker. A new connection takes a new
client id: a second socket under the same id goes deaf when the first closes.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import websocket

from executor.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.comfyui.progress import PromptProgress

_CONNECT_SECONDS = 5
# ComfyUI may say nothing for hours while a node works; a ping that stays unanswered shows a dead socket.
_SILENCE_SECONDS = 20
_PINGS_PER_STALL = 3
_RECONNECT_SECONDS = 1.0


class ProgressSocket:
    """Keeps one socket open and tells the watches what it hears.

    Says itself that it works, by pings, so often that `stall_seconds` of silence cannot be a dead socket's.
    """

    def __init__(self, comfyui_url: str, stall_seconds: float) -> None:
        parts = urlsplit(comfyui_url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))
        self._client_id = uuid.uuid4().hex
        self._watches: dict[str, PromptProgress] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._ping_seconds = min(_SILENCE_SECONDS, stall_seconds / _PINGS_PER_STALL)
        self._alive_at = 0.0

    @property
    def client_id(self) -> str:
        """The id to submit prompts with, so that their events come here."""
        return self._client_id

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        threading.Thread(target=self._listen_until_stopped, name="comfyui-events", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()

    def wait_connected(self, seconds: float) -> bool:
        """Wait until the socket stands; False when it does not by then."""
        return self._connected.wait(seconds)

    @contextmanager
    def telling(self, watch: PromptProgress, prompt_id: str) -> Iterator[None]:
        """Tell a watch of its prompt meanwhile."""
        with self._lock:
            self._watches[prompt_id] = watch
        try:
            yield
        finally:
            with self._lock:
                self._watches.pop(prompt_id, None)

    def silent_seconds(self, watch: PromptProgress) -> float:
        """Tell for how long the socket has worked and yet said nothing of a prompt that it had spoken of.

        0 when silence means nothing: a prompt's events come to the socket that it was submitted under and no other,
        and while another client does not read its socket, they come to nobody (not even the first of a prompt).
        """
        heard_at = watch.heard_at
        return 0.0 if heard_at is None else self._alive_at - heard_at

    def _listen_until_stopped(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (websocket.WebSocketException, OSError, ValueError) as error:
                logger.debug("event socket lost", action="socket_lost", reason=type(error).__name__)
            self._connected.clear()
            self._client_id = uuid.uuid4().hex
            with self._lock:
                for watch in self._watches.values():
                    watch.heard_at = None
            self._stopping.wait(_RECONNECT_SECONDS)

    def _listen(self) -> None:
        connection = websocket.create_connection(
            f"{self._url}?clientId={self._client_id}", timeout=_CONNECT_SECONDS, http_no_proxy=["*"]
        )
        try:
            connection.settimeout(self._ping_seconds)
            self._connected.set()
            pinged = False
            while not self._stopping.is_set():
                try:
                    # Pongs come back as frames of their own, so that they count as a sign of life.
                    opcode, data = connection.recv_data(control_frame=True)
                except websocket.WebSocketTimeoutException:
                    if pinged:
                        raise
                    connection.ping()
                    pinged = True
                    continue
                pinged = False
                self._alive_at = time.monotonic()
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    self._heard(data)
                elif opcode == websocket.ABNF.OPCODE_CLOSE:
                    return
        finally:
            connection.close()

    def _heard(self, data: bytes) -> None:
        try:
            message = json.loads(data)
            kind, details = message["type"], message["data"]
            with self._lock:
                watch = self._watches.get(details.get("prompt_id"))
            if watch is not None:
                watch.hear(kind, details)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            # Custom nodes send what they like through this socket.
            logger.debug("event not understood", action="event_ignored")
