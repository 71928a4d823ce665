"""Behavior of one POST: whatever the receiver does, it ends in time and says what happened."""

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


def replied(behavior: Behavior, *, seconds: float = 10.0) -> AttemptResult:
    """Send to a receiver that behaves so."""
    with Receiver(behavior) as receiver:
        return post(receiver, seconds=seconds)


def test_a_request_is_plain_http() -> None:
    """The receiver gets the path with its query, the headers and the body, and is told that nothing follows."""
    with Receiver(responds(204)) as receiver:
        reply = post(receiver)
    assert (reply.status_code, reply.error) == (204, None)
    (request,) = receiver.received
    assert (request.line, request.body) == ("POST /hook?token=t0ken HTTP/1.1", b"{}")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "w"
    assert request.headers["connection"] == "close"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    """Whatever is in the answer."""
    assert replied(responds(status, body=b"" if status == 204 else b"thanks")).error is None


@pytest.mark.parametrize("status", [103, 300, 304, 400, 404, 410, 429, 500, 503, 599])
def test_anything_else_is_not(status: int) -> None:
    """The reply says what it was answered with."""
    reply = replied(responds(status))
    assert reply.status_code == status
    assert reply.error is not None
    assert str(status) in reply.error


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """Neither to an inner address nor to the receiver itself: they are failures."""
    with Receiver(responds(204)) as inner, Receiver(responds(status, f"Location: {inner.url}")) as receiver:
        reply = post(receiver)
    assert (reply.status_code, "redirects" in str(reply.error)) == (status, True)
    assert (inner.connections, receiver.connections) == (0, 1)


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
def test_there_is_one_time_limit_for_all(behavior: Behavior) -> None:
    """However small the pieces are in which an answer comes, it must be whole in time."""
    began = time.monotonic()
    reply = replied(behavior, seconds=0.5)
    assert time.monotonic() - began < 3
    assert reply.status_code is None
    # A server that sends a hundred headers is refused before the time is up.
    assert reply.error is not None
    assert reply.duration_ms < 1500


def test_a_receiver_that_never_shakes_hands() -> None:
    """The time limit holds for setting up TLS too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        reply = WebhookSender(LOCAL, SystemResolver(), seconds=0.5).post(url, b"{}", {})
    assert "0.5 s" in str(reply.error)


def test_a_slow_200_is_delivered() -> None:
    """An answer that comes in time is good, however late."""
    reply = replied(waits(0.3, responds(200, body=b"done")))
    assert (reply.status_code, reply.error) == (200, None)
    assert reply.duration_ms >= 300


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
def test_an_answer_that_breaks_off_is_none(content: bytes) -> None:
    """A connection that is dropped in the middle tells nothing of what the receiver did."""
    reply = replied(sends(content))
    assert reply.status_code is None
    assert reply.error is not None


def test_an_answer_is_read_up_to_a_bound() -> None:
    """An endless body costs no memory, and no time when it is quick; the status counts."""
    reply = replied(drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000))
    assert (reply.status_code, reply.error) == (200, None)
    reply = replied(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 70_000))
    assert (reply.status_code, reply.error) == (200, None)


def test_nobody_listens() -> None:
    """A refused connection is said to be one."""
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
def test_retry_after_is_understood(value: str, seconds: int | None) -> None:
    """As seconds and as a date; anything else is as if it were not there."""
    if value == "in an hour":
        value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    asked = replied(responds(503, f"Retry-After: {value}")).retry_after_seconds
    assert (asked is None) == (seconds is None)
    assert asked is None or seconds is None or abs(asked - seconds) <= 60


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Make an authority that issues certificates."""
    return trustme.CA()


def trust(authority: trustme.CA) -> ssl.SSLContext:
    """Believe this authority, and no other."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certified(authority: trustme.CA, name: str, *, expires_at: datetime | None = None) -> ssl.SSLContext:
    """Make a server's side of TLS with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=expires_at).configure_cert(context)
    return context


def test_tls_goes_by_the_name(authority: trustme.CA) -> None:
    """The address is the one that was looked up, and the certificate is the name's."""
    names = FakeResolver(["127.0.0.1"])
    with Receiver(responds(204), tls=certified(authority, "hooks.example.com")) as receiver:
        url = f"https://Hooks.Example.com.:{receiver.port}/hook"
        reply = WebhookSender(LOCAL, names, tls=trust(authority)).post(url, b"{}", {})
    assert (reply.status_code, reply.error) == (204, None)
    assert receiver.received[0].headers["host"] == f"hooks.example.com:{receiver.port}"
    assert names.names == ["hooks.example.com"]


def test_bad_certificates_are_refused(authority: trustme.CA) -> None:
    """Another name's, another authority's and an expired one: nothing is sent to any of them."""
    expired = datetime.now(UTC) - timedelta(days=1)
    for tls, reason in (
        (certified(authority, "other.example.com"), "Hostname mismatch"),
        (certified(trustme.CA(), "hooks.example.com"), "unable to get local issuer certificate"),
        (certified(authority, "hooks.example.com", expires_at=expired), "certificate has expired"),
    ):
        with Receiver(responds(204), tls=tls) as receiver:
            sender = WebhookSender(LOCAL, FakeResolver(["127.0.0.1"]), tls=trust(authority))
            reply = sender.post(f"https://hooks.example.com:{receiver.port}/", b"{}", {})
        assert reply.error is not None
        assert reason in reply.error
        assert receiver.received == []


def test_a_server_without_tls() -> None:
    """Plain HTTP behind an https URL is said to be no TLS."""

    def respond_without_tls() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=respond_without_tls)
        server.start()
        reply = WebhookSender(LOCAL, SystemResolver()).post(
            f"https://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {}
        )
        server.join()
    assert "TLS" in str(reply.error)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.1.2.3"], ["8.8.8.8", "169.254.169.254"], ["::ffff:8.8.8.8"], ["fd00::1"], []],
    ids=str,
)
def test_nothing_is_connected_to_that_is_not_public(addresses: list[str]) -> None:
    """One bad address among good ones is enough."""
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(CallbackPolicy(allowed_domains=["*"]), FakeResolver(addresses))
        with pytest.raises(CallbackRefusedError):
            sender.post(f"https://hooks.example.com:{receiver.port}/", b"{}", {})
    assert receiver.connections == 0


def test_a_name_is_looked_up_once() -> None:
    """A resolver that gives a good address to judge and a bad one to connect to is never asked again."""
    public_then_loopback = FakeResolver(["203.0.112.1"], ["127.0.0.1"])
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(
            CallbackPolicy(allowed_domains=["*"], allow_http=True), public_then_loopback, seconds=0.3
        )
        reply = sender.post(f"http://hooks.example.com:{receiver.port}/", b"{}", {})
    assert reply.error is not None
    assert len(public_then_loopback.names) == 1
    assert receiver.connections == 0


def test_the_next_address_is_tried() -> None:
    """A host one of whose addresses does not answer is reached by another one."""
    with Receiver(responds(204)) as receiver:
        sender = WebhookSender(LOCAL, FakeResolver(["127.0.0.2", "127.0.0.3", "127.0.0.1"]))
        assert sender.post(f"http://hooks.example.com:{receiver.port}/", b"{}", {}).error is None


def test_a_name_that_is_not_known_now() -> None:
    """It is a failed attempt, which another one may follow."""
    reply = WebhookSender(LOCAL, FakeResolver(None)).post("https://hooks.example.com/", b"{}", {})
    assert "could not be resolved" in str(reply.error)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to an address that nobody has judged."""
    with Receiver(responds(204)) as proxy, Receiver(responds(204)) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        assert post(receiver).error is None
    assert (proxy.connections, receiver.connections) == (0, 1)


def test_nothing_is_left_behind() -> None:
    """However a POST ends, its connection is closed and no thread goes on."""
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
def test_any_answer_ends_in_a_reply(start: bytes, rest: bytes) -> None:
    """Whatever bytes a receiver sends, nothing is raised, and what is no whole answer is not delivered."""
    reply = replied(sends(start + rest))
    assert (reply.error is None) == (reply.status_code is not None and 200 <= reply.status_code < 300)
