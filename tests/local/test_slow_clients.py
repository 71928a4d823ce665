"""Clients that are slow, silent or waiting do not keep others from the API."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.local.command import finished_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.local.command import GatewayProcess

pytestmark = pytest.mark.slow
SLOW, WAITING = 200, 100
BEGINNINGS = (
    b"GET /health HT",
    b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",  # and never reads the response
    b"",
)


@pytest.fixture
def url(start: Callable[..., GatewayProcess]) -> Iterator[str]:
    """Run a gateway; return its address."""
    run = start("--ephemeral")
    yield run.up()
    assert run.end() == 0


def longest_health_check(url: str, seconds: float = 2) -> float:
    """Return the seconds that the slowest of the health checks took during a while."""
    longest, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        assert requests.get(f"{url}/health", timeout=10).status_code == 200
        longest = max(longest, time.monotonic() - started)
    return longest


def test_health_is_answered_under_slow_connections_and_waiters(url: str) -> None:
    """Within a second, and so is any other request; the waiters get their job when it ends, or its state."""
    finished_job(url)
    body = {"workflowId": "icon_512", "inputs": {"prompt": "a key", "steps": 100, "seed": -1}}
    *_, job = [requests.post(f"{url}/jobs", json=body, timeout=10).json()["jobId"] for _ in range(4)]
    address = ("127.0.0.1", int(url.rpartition(":")[2]))
    slow = [socket.create_connection(address) for _ in range(SLOW)]
    ending = threading.Event()

    def drip() -> None:
        for number, connection in enumerate(slow):
            connection.sendall(BEGINNINGS[number % len(BEGINNINGS)])
        while not ending.wait(0.5):
            for connection in slow:
                try:
                    connection.sendall(b"x")
                except OSError:
                    continue  # closed by the gateway: it was too slow

    def wait(_: int) -> int:
        return requests.get(f"{url}/jobs/{job}?wait=20", timeout=60).status_code

    with ThreadPoolExecutor(WAITING + 1) as clients:
        dripping = clients.submit(drip)
        waiting = [clients.submit(wait, number) for number in range(WAITING)]
        try:
            # Other tests on this machine make some rounds slower, and none faster.
            assert any(longest_health_check(url) < 1 for _ in range(6))
        finally:
            ending.set()
            dripping.result()
        assert {each.result() for each in waiting} == {200}
    for connection in slow:
        connection.close()
