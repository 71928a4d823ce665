from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.local.conftest import API_WORKERS

if TYPE_CHECKING:
    from local.child_process import Child


def test_concurrent_requests_get_their_own_responses(api_url: str) -> None:
    """Sixteen clients with different requests each get their own response, two hundred times.

    Powertools keeps the current event on the resolver's class. The handler reads it after a short pause, so a
    front that answered two requests at once in one process (threads, say) would fail this at the first tries.
    """

    def ask(number: int) -> None:
        name = f"n{number}"
        response = requests.get(
            f"{api_url}/jobs/{name}", params={"name": name}, headers={"X-Name": name}, timeout=20
        ).json()
        assert response == {"route": name, "path": f"/jobs/{name}", "header": name, "query": {"name": name}}

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(ask, range(200)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection wakes all of them")
def test_a_connection_wakes_one_worker(api_process: tuple[Child, str]) -> None:
    """The others keep sleeping: waking all of them costs as much time as a request."""
    child, url = api_process
    while len(before := sleeps_of_workers(child)) < API_WORKERS:
        time.sleep(0.02)
    for _ in range(20):
        requests.get(f"{url}/health", timeout=5)
    slept = sum(sleeps_of_workers(child).values()) - sum(before.values())
    assert slept < 20 * API_WORKERS / 2  # a working one also sleeps, until its whole request has arrived


def sleeps_of_workers(server: Child) -> dict[str, int]:
    """Return how often each worker has gone to sleep, by process id."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    statuses = {pid: Path(f"/proc/{pid}/status").read_text() for pid in children}
    return {pid: int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for pid, status in statuses.items()}


def test_the_event_contains_the_request_as_it_was_sent(api_url: str) -> None:
    """Method, encoded path, repeated headers and parameters and the body arrive in the event."""
    with socket.create_connection(("127.0.0.1", int(api_url.rpartition(":")[2]))) as connection:
        connection.sendall(
            b"PUT /health/a%2fb?x=1&x=%32 HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Tag: one\r\nx-tag: two\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        event = read_json(connection)
    assert (event["httpMethod"], event["path"], event["body"]) == ("PUT", "/health/a%2fb", "hello")
    assert event["multiValueHeaders"]["X-Tag"] == ["one", "two"]
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def read_json(connection: socket.socket) -> Any:  # noqa: ANN401  as json.loads
    """Read a response completely and parse its body."""
    content = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(content.partition(b"\r\n\r\n")[2])


def test_each_path_calls_the_function_of_the_routing_table(api_url: str) -> None:
    """Unknown paths call the default function."""
    assert requests.get(f"{api_url}/outputs/context", timeout=5).text.startswith("outputs ")
    assert requests.get(f"{api_url}/no/such/path", timeout=5).json()["path"] == "/no/such/path"


def test_the_context_has_the_remaining_time(api_url: str) -> None:
    """A handler can read its remaining time."""
    left = int(requests.get(f"{api_url}/outputs/context", timeout=5).text.split()[1])
    assert 500 < left <= 1000


def test_binary_bodies_are_decoded(api_url: str) -> None:
    """A base64 response is sent as bytes."""
    response = requests.get(f"{api_url}/jobs/binary", timeout=5)
    assert (response.content, response.headers["Content-Type"]) == (b"\x89PNG\xff", "image/png")


def test_single_and_multi_value_headers_are_merged(api_url: str) -> None:
    """Multi-value headers replace single ones of the same name."""
    response = requests.get(f"{api_url}/outputs/headers", timeout=5)
    assert (response.status_code, response.headers["X-One"], response.headers["X-Two"]) == (201, "single", "a, b")
    assert response.content == b"\x00\xff"


def test_head_and_options_reach_the_handler(api_url: str) -> None:
    """They are methods like others for a function behind ANY; the response to HEAD has no body."""
    head = requests.head(f"{api_url}/health", timeout=5)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    assert requests.options(f"{api_url}/health", timeout=5).json()["httpMethod"] == "OPTIONS"


def test_a_response_without_content(api_url: str) -> None:
    """204 has neither a body nor a length."""
    response = requests.get(f"{api_url}/outputs/none", timeout=5)
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Length" not in response.headers


def test_idle_connections_block_no_worker(api_url: str) -> None:
    """Browsers open connections in advance; with more of them than workers, requests are still processed."""
    address = ("127.0.0.1", int(api_url.rpartition(":")[2]))
    idle = [socket.create_connection(address) for _ in range(2 * API_WORKERS)]
    try:
        assert requests.get(f"{api_url}/outputs/none", timeout=5).status_code == 204
    finally:
        for connection in idle:
            connection.close()


def test_incomplete_requests_block_no_worker_for_long(api_url: str, api_log: Path) -> None:
    """With more of them than workers, other requests get their responses within seconds."""
    address = ("127.0.0.1", int(api_url.rpartition(":")[2]))
    logged = api_log.stat().st_size
    starts = (
        b"GET /health HT",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    )
    incomplete = [socket.create_connection(address) for _ in range(API_WORKERS + API_WORKERS // 2)]
    try:
        for number, connection in enumerate(incomplete):
            connection.sendall(starts[number % len(starts)])
        assert requests.get(f"{api_url}/outputs/none", timeout=5).status_code == 204
    finally:
        for connection in incomplete:
            connection.close()
    assert "Traceback" not in api_log.read_bytes()[logged:].decode()


def test_a_slow_reader_gets_the_whole_response(api_url: str) -> None:
    """The time limit is for sending a request, not for reading a response."""
    with socket.create_connection(("127.0.0.1", int(api_url.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /outputs/big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        time.sleep(4)  # longer than the limit for a silent client
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert len(content.partition(b"\r\n\r\n")[2]) == 5_000_000


def test_no_response_names_the_server(api_url: str) -> None:
    """Version numbers only help attackers."""
    assert "Server" not in requests.get(f"{api_url}/health", timeout=5).headers
