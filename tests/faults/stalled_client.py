"""A client of ComfyUI that does not read its socket."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from testing.prompts import image_prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

# More than the buffers of a connection can hold.
_UNREAD_CHARACTERS = 20_000_000


@contextmanager
def stalled_client(comfyui_url: str) -> Iterator[None]:
    """Let ComfyUI send so much to a client that does not read that it cannot send events to anyone."""
    host = urlsplit(comfyui_url)
    with socket.create_connection((host.hostname, host.port)) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        upgrade = (
            f"GET /ws?clientId=stalled HTTP/1.1\r\nHost: {host.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade"
        )
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        stalled.sendall(f"{upgrade}\r\n{key}\r\n\r\n".encode())
        assert stalled.recv(100)
        text = {"class_type": "LabText", "inputs": {"image": ["1", 0], "text": "x" * _UNREAD_CHARACTERS}}
        shown = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
        body = {"prompt": {**image_prompt(), "2": shown, "3": text}, "client_id": "stalled"}
        response = requests.post(f"{comfyui_url}/prompt", json=body, timeout=60)
        response.raise_for_status()
        while not requests.get(f"{comfyui_url}/history/{response.json()['prompt_id']}", timeout=10).json():
            time.sleep(0.05)
        yield
