"""Ports on this machine, and whether something answers there."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from http import HTTPStatus

# No proxy between this machine and itself, whatever the machine is set up to use for the rest of the world.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200 within 2 s."""
    try:
        with _direct.open(url, timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
