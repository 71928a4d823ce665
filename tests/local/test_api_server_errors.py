"""Errors of the API process itself have the same form as those of the functions."""

from __future__ import annotations

import collections
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from gateway.limits import MAX_API_GATEWAY_PAYLOAD_BYTES, MAX_LAMBDA_PAYLOAD_BYTES
from tests.local.conftest import API_WORKERS


def exchange(api_url: str, sent: bytes) -> requests.Response:
    """Send these bytes and end the stream; return the whole response."""
    with socket.create_connection(("127.0.0.1", int(api_url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    response = requests.Response()
    response.status_code = int(first.split()[1])
    response.headers = CaseInsensitiveDict(
        (name, value) for name, _, value in (header.partition(": ") for header in headers)
    )
    response._content = body
    return response


def assert_is_error(response: requests.Response, status: int, code: str) -> None:
    """Check that an error has the form of those of the functions."""
    body = response.json()
    assert (response.status_code, body["error"]) == (status, code)
    assert body.keys() == {"error", "message", "details", "retryable", "correlationId"}
    assert response.headers["X-Correlation-Id"] == body["correlationId"]
    assert response.headers["Content-Type"] == "application/json"
    assert "secret" not in response.text
    assert "aiohttp" not in f"{response.text} {response.headers}".lower()
    assert (body["details"] is not None) == (code == "VALIDATION_ERROR")


@pytest.mark.parametrize("method", ["BREW", "get", "X", "M" * 30])
def test_an_unknown_method_is_rejected(api_url: str, method: str) -> None:
    """ANY of API Gateway does not include it; methods are case-sensitive."""
    response = exchange(api_url, f"{method} /jobs HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert_is_error(response, 405, "METHOD_NOT_ALLOWED")
    assert "POST" in response.headers["Allow"]


def test_errors_contain_the_correlation_id_of_the_caller(api_url: str) -> None:
    """As in every other response, if it is valid."""
    for given, taken in (("mine-1", True), ("no good", False)):
        for path, size, expected in (
            ("/outputs/raises", 0, (502, "INTERNAL_ERROR")),
            ("/jobs", MAX_LAMBDA_PAYLOAD_BYTES, (413, "PAYLOAD_TOO_LARGE")),
        ):
            headers = {"X-Correlation-Id": given}
            response = requests.post(api_url + path, data=b"x" * size, headers=headers, timeout=20)
            assert_is_error(response, *expected)
            assert (response.headers["X-Correlation-Id"] == given) is taken


@pytest.mark.parametrize(
    "size",
    [
        MAX_API_GATEWAY_PAYLOAD_BYTES + 1,
        2 * MAX_API_GATEWAY_PAYLOAD_BYTES,
        8 * MAX_API_GATEWAY_PAYLOAD_BYTES,
        MAX_LAMBDA_PAYLOAD_BYTES,
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limits_of_aws_is_too_large(api_url: str, size: int, *, chunked: bool) -> None:
    """Above API Gateway's 10 MB, and above what fits a Lambda event, the response is 413.

    Clients that send everything before they read receive it as well: the connection is not reset.
    """
    body = b"x" * size
    data = (body[start : start + 1_000_000] for start in range(0, size, 1_000_000)) if chunked else body
    assert_is_error(requests.post(f"{api_url}/jobs", data=data, timeout=20), 413, "PAYLOAD_TOO_LARGE")


def test_a_large_content_length_is_rejected_before_the_upload(api_url: str) -> None:
    """The response does not wait for any byte of the body."""
    with socket.create_connection(("127.0.0.1", int(api_url.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 80000000\r\n\r\n")
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(content.partition(b"\r\n\r\n")[2])["error"] == "PAYLOAD_TOO_LARGE"


def test_an_endless_body_is_aborted(api_url: str) -> None:
    """The client gets its response, and blocks a worker for seconds only."""
    with socket.create_connection(("127.0.0.1", int(api_url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(b"POST /jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"
        started = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            collections.deque(iter(lambda: connection.send(b"x" * 65536), 0), maxlen=0)
        assert time.monotonic() - started < 10


HEAD = b"POST /jobs HTTP/1.1\r\nHost: h\r\n"
UNREADABLE = {
    "no request": b"nonsense\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\r\n\r\n",
    "no version": b"GET /jobs\r\n\r\n",
    "another version": b"GET /jobs HTTP/9.9\r\nHost: h\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an invalid method": b"G@T /jobs HTTP/1.1\r\nHost: h\r\n\r\n",
    "an invalid path": b"GET jobs HTTP/1.1\r\nHost: h\r\n\r\n",
    "bytes in the path": b"GET /jobs\xff HTTP/1.1\r\nHost: h\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a header with a space": HEAD + b"X Key: x\r\n\r\n",
    "a control sign in a header": HEAD + b"X-Key: a\x00b\r\n\r\n",
    "a folded header": HEAD + b"X-Key: a\r\n b\r\n\r\n",
    "lines that end with LF": b"GET /jobs HTTP/1.1\nHost: h\n\n",
    "an invalid length": HEAD + b"Content-Length: ten\r\n\r\n",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown encoding": HEAD + b"Transfer-Encoding: rot13\r\n\r\n",
    "an unknown expectation": HEAD + b"Expect: wonders\r\nContent-Length: 2\r\n\r\n{}",
    "less than its length": HEAD + b"Content-Length: 100\r\n\r\n{}",
    "an invalid chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n",
    "chunks without an end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n20\r\n{}",
    "an invalid trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
}  # fmt: skip
TOO_LARGE = {
    "path": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "path without end": b"GET /" + b"x" * 300_000,
    "query": b"GET /jobs?cursor=" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    "header": HEAD + b"X-Key: " + b"x" * 9000 + b"\r\n\r\n",
    "headers": HEAD + b"".join(b"X-Key-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
    "headers without end": HEAD + b"X-Key: 1\r\n" * 100_000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_invalid_request_is_rejected(api_url: str, name: str) -> None:
    """Never with the HTTP server's own page; later requests work."""
    assert_is_error(exchange(api_url, UNREADABLE[name]), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_head_above_the_limit_is_rejected(api_url: str, name: str) -> None:
    """With the status of the contract for everything that is too large."""
    assert_is_error(exchange(api_url, TOO_LARGE[name]), 413, "PAYLOAD_TOO_LARGE")


def test_an_invalid_response_header_is_an_internal_error(api_url: str) -> None:
    """API Gateway returns 502; nothing of the header reaches the client."""
    assert_is_error(requests.get(f"{api_url}/outputs/split", timeout=5), 502, "INTERNAL_ERROR")


@pytest.mark.parametrize("failure", ["raises", "nonsense", "large"])
def test_a_failed_handler_leaks_nothing(api_url: str, failure: str) -> None:
    """An exception, an invalid response and one above 6 MB are 502, as from API Gateway."""
    assert_is_error(requests.get(f"{api_url}/outputs/{failure}", timeout=20), 502, "INTERNAL_ERROR")


def test_a_slow_handler_is_stopped(api_url: str) -> None:
    """The client gets 504 at the time limit, and the worker processes other requests."""
    started = time.monotonic()
    with ThreadPoolExecutor(API_WORKERS) as clients:
        responses = list(clients.map(lambda _: requests.get(f"{api_url}/outputs/slow", timeout=20), range(API_WORKERS)))
    assert time.monotonic() - started < 5
    for response in responses:
        assert_is_error(response, 504, "INTERNAL_ERROR")
    assert requests.get(f"{api_url}/outputs/none", timeout=5).status_code == 204
