"""ComfyUI's WebSocket: progress events of running prompts, and a hint to check the history.

Its events are hints only: connections go silent, events get lost, and an error message may not be the last event. Code
that waits for a prompt also polls, and the socket only makes it react sooner. Every connection uses a new client id:
when two sockets share one, the second gets no more events after the first closes.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import websocket

from executor.comfyui.client import new_client_id
from executor.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from executor.comfyui.progress import PromptProgress
    from gateway.ports import Clock

_CONNECT_SECONDS = 5
# ComfyUI may send nothing for hours while a node works; a ping without a pong shows a dead connection.
_MAX_PING_SECONDS = 20
_PINGS_PER_STALL = 3
_RECONNECT_SECONDS = 1.0


class ProgressSocket:
    """Keeps one WebSocket connected and dispatches its events to the prompts' progress.

    It pings so often that `stall_seconds` without an event cannot be caused by a dead connection.
    """

    def __init__(self, comfyui_url: str, stall_seconds: float, clock: Clock) -> None:
        parts = urlsplit(comfyui_url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws", "", ""))
        self._clock = clock
        self._client_id = new_client_id()
        self._subscribers: dict[str, PromptProgress] = {}  # by prompt id
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._ping_seconds = min(_MAX_PING_SECONDS, stall_seconds / _PINGS_PER_STALL)
        self._alive_at = 0.0

    @property
    def client_id(self) -> str:
        """The client id to submit prompts with, so that their events come to this socket."""
        return self._client_id

    def start(self) -> None:
        """Connect in the background, and reconnect whenever the connection is lost."""
        threading.Thread(target=self._run, name="comfyui-websocket", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()

    def wait_connected(self, seconds: float) -> bool:
        """Wait until the socket is connected; return False on timeout."""
        return self._connected.wait(seconds)

    @contextmanager
    def subscribe(self, prompt_id: str, progress: PromptProgress) -> Iterator[None]:
        """Dispatch a prompt's events to `progress` inside the block."""
        with self._lock:
            self._subscribers[prompt_id] = progress
        try:
            yield
        finally:
            with self._lock:
                self._subscribers.pop(prompt_id, None)

    def silent_seconds(self, progress: PromptProgress) -> float:
        """Return for how long a working connection has had no event of a prompt, after its first one.

        0 when silence means nothing: a prompt's events come only to the socket that it was submitted with, and while
        another client does not read its socket no client receives them (not even a prompt's first event).
        """
        last_event_at = progress.last_event_at
        return 0.0 if last_event_at is None else self._alive_at - last_event_at

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (websocket.WebSocketException, OSError, ValueError) as error:
                logger.debug("websocket disconnected", action="websocket_disconnected", reason=type(error).__name__)
            self._connected.clear()
            self._client_id = new_client_id()
            with self._lock:
                for progress in self._subscribers.values():
                    progress.last_event_at = None
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
                    # With control frames, pongs count as a sign of life.
                    opcode, data = connection.recv_data(control_frame=True)
                except websocket.WebSocketTimeoutException:
                    if pinged:
                        raise
                    connection.ping()
                    pinged = True
                    continue
                pinged = False
                self._alive_at = self._clock.monotonic()
                if opcode == websocket.ABNF.OPCODE_TEXT:
                    self._dispatch(data)
                elif opcode == websocket.ABNF.OPCODE_CLOSE:
                    return
        finally:
            connection.close()

    def _dispatch(self, data: bytes) -> None:
        try:
            message = json.loads(data)
            kind, details = message["type"], message["data"]
            with self._lock:
                progress = self._subscribers.get(details.get("prompt_id"))
            if progress is not None:
                progress.on_event(kind, details)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            # Custom nodes send messages of any format through this socket.
            logger.debug("websocket event ignored", action="websocket_event_ignored")
