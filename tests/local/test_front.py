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

from tests.local.conftest import FRONT_WORKERS

if TYPE_CHECKING:
    from local.child_process import Child


def test_parallel_requests_never_get_each_others_answers(front: str) -> None:
    """Sixteen clients with different requests each get the answer to their own, two hundred times over.

    Powertools keeps the current event on the resolver's class. The handler reads it after a short pause, so a
    front that answered two requests at once in one process (threads, say) would fail this at the first tries.
    """

    def ask(number: int) -> None:
        name = f"n{number}"
        answer = requests.get(
            f"{front}/jobs/{name}", params={"name": name}, headers={"X-Name": name}, timeout=20
        ).json()
        assert answer == {"route": name, "path": f"/jobs/{name}", "header": name, "query": {"name": name}}

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(ask, range(200)))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection wakes all of them")
def test_a_connection_wakes_one_worker(front_process: tuple[Child, str]) -> None:
    """The others sleep on: together they would use up as much time as a request does itself."""
    child, url = front_process
    while len(before := sleeps_of_workers(child)) < FRONT_WORKERS:
        time.sleep(0.02)
    for _ in range(20):
        requests.get(f"{url}/health", timeout=5)
    slept = sum(sleeps_of_workers(child).values()) - sum(before.values())
    assert slept < 20 * FRONT_WORKERS / 2  # each that works sleeps, too, until all of its request is there


def sleeps_of_workers(front: Child) -> dict[str, int]:
    """Count how often each worker has gone to sleep, by process id."""
    children = Path(f"/proc/{front.pid}/task/{front.pid}/children").read_text().split()
    statuses = {pid: Path(f"/proc/{pid}/status").read_text() for pid in children}
    return {pid: int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for pid, status in statuses.items()}


def test_the_handler_gets_the_request_as_it_was_sent(front: str) -> None:
    """Method, encoded path, repeated headers and parameters and the body arrive in the event."""
    with socket.create_connection(("127.0.0.1", int(front.rpartition(":")[2]))) as connection:
        connection.sendall(
            b"PUT /health/a%2fb?x=1&x=%32 HTTP/1.1\r\nHost: h\r\nX-Tag: one\r\nx-tag: two\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        event = read_json(connection)
    assert (event["httpMethod"], event["path"], event["body"]) == ("PUT", "/health/a%2fb", "hello")
    assert event["multiValueHeaders"]["X-Tag"] == ["one", "two"]
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def read_json(connection: socket.socket) -> Any:  # noqa: ANN401  as json.loads
    """Read an answer to its end and parse its body."""
    content = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(content.partition(b"\r\n\r\n")[2])


def test_each_path_goes_to_the_function_that_routing_names(front: str) -> None:
    """What no function is named for goes to the default one."""
    assert requests.get(f"{front}/outputs/context", timeout=5).text.startswith("outputs ")
    assert requests.get(f"{front}/no/such/path", timeout=5).json()["path"] == "/no/such/path"


def test_the_context_tells_the_time_left(front: str) -> None:
    """A handler can see how long it still has."""
    left = int(requests.get(f"{front}/outputs/context", timeout=5).text.split()[1])
    assert 500 < left <= 1000


def test_bytes_come_back_as_bytes(front: str) -> None:
    """A base64 answer is decoded on its way out."""
    answer = requests.get(f"{front}/jobs/binary", timeout=5)
    assert (answer.content, answer.headers["Content-Type"]) == (b"\x89PNG\xff", "image/png")


def test_single_and_multi_value_headers_are_merged(front: str) -> None:
    """Multi-value headers win where both forms have a name."""
    answer = requests.get(f"{front}/outputs/headers", timeout=5)
    assert (answer.status_code, answer.headers["X-One"], answer.headers["X-Two"]) == (201, "single", "a, b")
    assert answer.content == b"\x00\xff"


def test_head_and_options_reach_the_handler(front: str) -> None:
    """They are methods like others for a function behind ANY; the answer to HEAD has no body."""
    head = requests.head(f"{front}/health", timeout=5)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    assert requests.options(f"{front}/health", timeout=5).json()["httpMethod"] == "OPTIONS"


def test_an_answer_without_content_has_none(front: str) -> None:
    """204 has neither a body nor a length."""
    answer = requests.get(f"{front}/outputs/none", timeout=5)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Length" not in answer.headers


def test_idle_connections_do_not_keep_workers(front: str) -> None:
    """Browsers open connections ahead of need; more of them than there are workers leave the front answering."""
    address = ("127.0.0.1", int(front.rpartition(":")[2]))
    idle = [socket.create_connection(address) for _ in range(2 * FRONT_WORKERS)]
    try:
        assert requests.get(f"{front}/outputs/none", timeout=5).status_code == 204
    finally:
        for connection in idle:
            connection.close()


def test_incomplete_requests_block_no_worker_for_long(front: str, front_log: Path) -> None:
    """With more of them than workers, other requests get their responses within seconds."""
    address = ("127.0.0.1", int(front.rpartition(":")[2]))
    logged = front_log.stat().st_size
    starts = (
        b"GET /health HT",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    )
    incomplete = [socket.create_connection(address) for _ in range(FRONT_WORKERS + FRONT_WORKERS // 2)]
    try:
        for number, connection in enumerate(incomplete):
            connection.sendall(starts[number % len(starts)])
        assert requests.get(f"{front}/outputs/none", timeout=5).status_code == 204
    finally:
        for connection in incomplete:
            connection.close()
    assert "Traceback" not in front_log.read_bytes()[logged:].decode()


def test_a_slow_reader_gets_all_of_its_answer(front: str) -> None:
    """The limit is for what is sent, not for how an answer is read."""
    with socket.create_connection(("127.0.0.1", int(front.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /outputs/big HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(4)  # longer than a client may be silent in its request
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert len(content.partition(b"\r\n\r\n")[2]) == 5_000_000


def test_no_answer_names_its_server(front: str) -> None:
    """Versions are of use to attackers only."""
    assert "Server" not in requests.get(f"{front}/health", timeout=5).headers
