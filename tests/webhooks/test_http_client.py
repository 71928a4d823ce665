"""One POST of a webhook: every response and every failure gives a result in time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.webhooks.dns import SystemResolver
from functions.webhooks.http_client import WebhookSender
from gateway.domain.callback_url import CallbackPolicy
from gateway.errors import CallbackRefusedError
from tests.webhooks.fake_resolver import FakeResolver
from tests.webhooks.receiver import Receiver, drips, hangs, responds, sends, waits

if TYPE_CHECKING:
    from gateway.domain.delivery import AttemptResult
    from tests.webhooks.receiver import Behavior

LOCAL = CallbackPolicy(allowed_domains=["*"], allow_http=True, allow_loopback=True)
OK_START = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def post(receiver: Receiver, *, seconds: float = 10.0) -> AttemptResult:
    """Send a small body to a receiver on this machine."""
    return WebhookSender(LOCAL, SystemResolver(), seconds=seconds).post(receiver.url, b"{}", {"webhook-id": "w"})


def result_of(behavior: Behavior, *, seconds: float = 10.0) -> AttemptResult:
    """Send to a receiver with this behavior."""
    with Receiver(behavior) as receiver:
        return post(receiver, seconds=seconds)


def test_the_request() -> None:
    """The receiver gets the path with its query, the headers and the body; the connection is closed afterwards."""
    with Receiver(responds(204)) as receiver:
        result = post(receiver)
    assert (result.status_code, result.error) == (204, None)
    (request,) = receiver.received
    assert (request.line, request.body) == ("POST /hook?token=t0ken HTTP/1.1", b"{}")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "w"
    assert request.headers["connection"] == "close"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_success(status: int) -> None:
    """With any body."""
    assert result_of(responds(status, body=b"" if status == 204 else b"thanks")).error is None


@pytest.mark.parametrize("status", [103, 300, 304, 400, 404, 410, 429, 500, 503, 599])
def test_any_other_status_is_a_failure(status: int) -> None:
    """The error contains the status."""
    result = result_of(responds(status))
    assert result.status_code == status
    assert result.error is not None
    assert str(status) in result.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """They are failures: a redirect could lead to an internal address."""
    with Receiver(responds(204)) as target, Receiver(responds(status, f"Location: {target.url}")) as receiver:
        result = post(receiver)
    assert (result.status_code, "redirects" in str(result.error)) == (status, True)
    assert (target.connections, receiver.connections) == (0, 1)


@pytest.mark.parametrize(
    "behavior",
    [
        hangs(),
        hangs(b"HTTP/1.1 200"),
        hangs(b"HTTP/1.1 200 OK\r\n"),
        hangs(OK_START + b"x"),
        drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        drips(OK_START, b"x"),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["nothing", "half a line", "a line", "half a body", "headers", "continues", "a header", "body", "chunks"],
)
def test_the_time_limit_covers_the_whole_response(behavior: Behavior) -> None:
    """Also if the response comes in small pieces."""
    began = time.monotonic()
    result = result_of(behavior, seconds=0.5)
    assert time.monotonic() - began < 3
    assert result.status_code is None
    # A server that sends a hundred headers is refused before the time is up.
    assert result.error is not None
    assert result.duration_ms < 1500


def test_the_time_limit_covers_the_tls_handshake() -> None:
    """A receiver that never starts the handshake is a timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        result = WebhookSender(LOCAL, SystemResolver(), seconds=0.5).post(url, b"{}", {})
    assert "0.5 s" in str(result.error)


def test_a_slow_response_within_the_limit_is_a_success() -> None:
    """The duration is measured."""
    result = result_of(waits(0.3, responds(200, body=b"done")))
    assert (result.status_code, result.error) == (200, None)
    assert result.duration_ms >= 300


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        OK_START + b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"hello",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "half a chunk", "no HTTP"],
)
def test_an_incomplete_response_is_a_failure(content: bytes) -> None:
    """If the connection is closed early, the status does not count."""
    result = result_of(sends(content))
    assert result.status_code is None
    assert result.error is not None


def test_a_response_is_read_up_to_a_limit() -> None:
    """An endless body needs neither memory nor time; its status counts."""
    result = result_of(drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000))
    assert (result.status_code, result.error) == (200, None)
    result = result_of(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 70_000))
    assert (result.status_code, result.error) == (200, None)


def test_a_refused_connection_is_reported() -> None:
    """The error names it."""
    with Receiver(responds(204)) as receiver:
        pass
    assert "refused" in str(post(receiver).error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999999999999", 999_999_999),
        ("in an hour", 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_parsed(value: str, seconds: int | None) -> None:
    """As seconds and as a date; any other value is ignored."""
    if value == "in an hour":
        value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    parsed = result_of(responds(503, f"Retry-After: {value}")).retry_after_seconds
    assert (parsed is None) == (seconds is None)
    assert parsed is None or seconds is None or abs(parsed - seconds) <= 60


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Create a certificate authority."""
    return trustme.CA()


def trust(authority: trustme.CA) -> ssl.SSLContext:
    """Return a client context that trusts only this authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certified(authority: trustme.CA, name: str, *, expires_at: datetime | None = None) -> ssl.SSLContext:
    """Return a server context with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=expires_at).configure_cert(context)
    return context


def test_tls_verifies_the_host_name(authority: trustme.CA) -> None:
    """The connection goes to the resolved address; the certificate must be for the name."""
    names = FakeResolver(["127.0.0.1"])
    with Receiver(responds(204), tls=certified(authority, "hooks.example.com")) as receiver:
        url = f"https://Hooks.Example.com.:{receiver.port}/hook"
        result = WebhookSender(LOCAL, names, tls=trust(authority)).post(url, b"{}", {})
    assert (result.status_code, result.error) == (204, None)
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert names.names == ["hooks.example.com"]


def test_invalid_certificates_are_rejected(authority: trustme.CA) -> None:
    """For another name, of another authority, or expired: nothing is sent."""
    expired = datetime.now(UTC) - timedelta(days=1)
    for tls, reason in (
        (certified(authority, "other.example.com"), "Hostname mismatch"),
        (certified(trustme.CA(), "hooks.example.com"), "unable to get local issuer certificate"),
        (certified(authority, "hooks.example.com", expires_at=expired), "certificate has expired"),
    ):
        with Receiver(responds(204), tls=tls) as receiver:
            sender = WebhookSender(LOCAL, FakeResolver(["127.0.0.1"]), tls=trust(authority))
            result = sender.post(f"https://hooks.example.com:{receiver.port}/", b"{}", {})
        assert result.error is not None
        assert reason in result.error
        assert receiver.received == []


def test_a_server_without_tls() -> None:
    """The error of an https URL with plain HTTP behind it mentions TLS."""

    def respond_without_tls() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=respond_without_tls)
        server.start()
        result = WebhookSender(LOCAL, SystemResolver()).post(
            f"https://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {}
        )
        server.join()
    assert "TLS" in str(result.error)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.1.2.3"], ["8.8.8.8", "169.254.169.254"], ["::ffff:8.8.8.8"], ["fd00::1"], []],
    ids=str,
)
def test_addresses_that_are_not_public_are_refused(addresses: list[str]) -> None:
    """One such address among public ones is enough. No connection is opened."""
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(CallbackPolicy(allowed_domains=["*"]), FakeResolver(addresses))
        with pytest.raises(CallbackRefusedError):
            sender.post(f"https://hooks.example.com:{receiver.port}/", b"{}", {})
    assert receiver.connections == 0


def test_a_name_is_resolved_once() -> None:
    """A second lookup could return an address that was not checked (DNS rebinding)."""
    public_then_loopback = FakeResolver(["203.0.112.1"], ["127.0.0.1"])
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(
            CallbackPolicy(allowed_domains=["*"], allow_http=True), public_then_loopback, seconds=0.3
        )
        result = sender.post(f"http://hooks.example.com:{receiver.port}/", b"{}", {})
    assert result.error is not None
    assert len(public_then_loopback.names) == 1
    assert receiver.connections == 0


def test_the_next_address_is_tried() -> None:
    """If an address of a host refuses the connection, the next one is used."""
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(LOCAL, FakeResolver(["127.0.0.2", "127.0.0.3", "127.0.0.1"]))
        assert sender.post(f"http://hooks.example.com:{receiver.port}/", b"{}", {}).error is None


def test_an_unresolved_name_is_a_failure() -> None:
    """It is a failed attempt, which can be retried."""
    result = WebhookSender(LOCAL, FakeResolver(None)).post("https://hooks.example.com/", b"{}", {})
    assert "could not be resolved" in str(result.error)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to an address that was not checked."""
    with Receiver(responds(204)) as proxy, Receiver(responds(204)) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert post(receiver).error is None
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_connections_and_threads_are_closed() -> None:
    """After a success, a timeout and a failure."""
    before = threading.active_count()
    with ExitStack() as stack:
        for behavior in (responds(204), hangs(), sends(b"x"), sends(OK_START)):
            post(stack.enter_context(Receiver(behavior)), seconds=0.2)
    assert threading.active_count() == before


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]),
    st.binary(max_size=200) | st.text(alphabet="HTP/1.20 OK\r\n:-;a", max_size=100).map(str.encode),
)
def test_any_bytes_give_a_result(start: bytes, rest: bytes) -> None:
    """No bytes from a receiver raise an exception, and only a complete 2xx response is a success."""
    result = result_of(sends(start + rest))
    assert (result.error is None) == (result.status_code is not None and 200 <= result.status_code < 300)
