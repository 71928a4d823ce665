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

from cli.local.child import Child
from cli.local.front import MAX_BODY_BYTES
from cli.local.lambda_runtime import MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = 8


@pytest.fixture(scope="module")
def front_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file that the front logs to."""
    return tmp_path_factory.mktemp("front") / "front.log"


@pytest.fixture(scope="module")
def front(front_log: Path) -> Iterator[str]:
    """Give the address of a running front whose handlers are those of echo_front.py."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, str(Path(__file__).with_name("echo_front.py")), str(listener.fileno()), str(WORKERS)]
        environment = {"PYTHONPATH": str(Path(__file__).parents[2])}  # this checkout, whichever is installed
        child = Child("front", command, environment=environment, log_file=front_log, inherited_fds=[listener.fileno()])
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        requests.get(f"{url}/health", timeout=20)  # the socket listens already: this waits for the first worker
        yield url
    finally:
        assert child.stop(seconds=5)


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


def assert_is_error(answer: requests.Response, status: int, code: str) -> None:
    """Check that an error of the front itself looks like those of the functions."""
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, code)
    assert body.keys() == {"error", "message", "details", "retryable", "correlationId"}
    assert answer.headers["X-Correlation-Id"] == body["correlationId"]
    assert "secret" not in answer.text


def test_an_unheard_of_method_is_refused(front: str) -> None:
    """API Gateway's ANY does not stand for it."""
    answer = requests.request("BREW", f"{front}/jobs", timeout=5)
    assert_is_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 2 * MAX_BODY_BYTES, MAX_PAYLOAD_BYTES])
def test_a_body_that_aws_would_not_carry_is_too_large(front: str, size: int) -> None:
    """Above API Gateway's 10 MB, and above what fits a Lambda event, the answer is 413, and it arrives."""
    assert_is_error(requests.post(f"{front}/jobs", data=b"x" * size, timeout=20), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("failure", ["raises", "nonsense", "large"])
def test_a_handler_that_fails_shows_nothing_of_itself(front: str, failure: str) -> None:
    """A raised error, a wrong answer and one above Lambda's 6 MB are the 502 that API Gateway makes of them."""
    assert_is_error(requests.get(f"{front}/outputs/{failure}", timeout=20), 502, "INTERNAL_ERROR")


def test_a_handler_that_takes_too_long_is_cut_off(front: str) -> None:
    """The client gets a 504 at the time limit, and the worker goes on to answer others."""
    started = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as clients:
        answers = list(clients.map(lambda _: requests.get(f"{front}/outputs/slow", timeout=20), range(WORKERS)))
    assert time.monotonic() - started < 5
    for answer in answers:
        assert_is_error(answer, 504, "INTERNAL_ERROR")
    assert requests.get(f"{front}/outputs/none", timeout=5).status_code == 204


def test_idle_connections_do_not_keep_workers(front: str) -> None:
    """Browsers open connections ahead of need; more of them than there are workers leave the front answering."""
    address = ("127.0.0.1", int(front.rpartition(":")[2]))
    idle = [socket.create_connection(address) for _ in range(2 * WORKERS)]
    try:
        assert requests.get(f"{front}/outputs/none", timeout=5).status_code == 204
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize(
    "start",
    [
        b"GET /health HT",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{",
        b"POST /jobs HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_half_requests_hold_no_worker_for_long(front: str, front_log: Path, start: bytes) -> None:
    """More of them than there are workers, with the rest never to come, and others are answered in a few seconds."""
    address = ("127.0.0.1", int(front.rpartition(":")[2]))
    logged = front_log.stat().st_size
    halves = [socket.create_connection(address) for _ in range(WORKERS + WORKERS // 2)]
    try:
        for half in halves:
            half.sendall(start)
        assert requests.get(f"{front}/outputs/none", timeout=5).status_code == 204
    finally:
        for half in halves:
            half.close()
    assert "Traceback" not in front_log.read_bytes()[logged:].decode()


def test_a_slow_reader_gets_all_of_its_answer(front: str) -> None:
    """The limit is for what is sent, not for how an answer is read."""
    with socket.create_connection(("127.0.0.1", int(front.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /outputs/big HTTP/1.1\r\nHost: h\r\n\r\n")
        time.sleep(4)  # longer than a client may be silent in its request
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert len(content.partition(b"\r\n\r\n")[2]) == 5_000_000
