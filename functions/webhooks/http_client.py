"""One signed POST to a receiver that may be anything: slow, broken, hostile, or a name that leads into our own network.

    URL ─▶ host ─▶ all its addresses, judged ─▶ connection to one of these very addresses ─▶ TLS by the host's name
        ─▶ request ─▶ whole answer, up to a bound

All of it has one deadline. Redirects are not followed, and proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.webhooks.address_check import resolve_allowed_addresses
from gateway.__about__ import VERSION
from gateway.domain.delivery import ATTEMPT_SECONDS, AttemptResult
from gateway.errors import NameUnresolvedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import WriteableBuffer

    from functions.webhooks.dns import Resolver
    from gateway.domain.callback_url import CallbackPolicy, CallbackTarget

_MAX_ANSWER_BYTES = 64 * 1024
_MAX_ADDRESSES = 4  # that are tried, one after the other
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"ComfyUI-Gateway/{VERSION}",
    "Connection": "close",
}


class Sender:
    """Sends. `tls`: whom to believe; the system's authorities when not given. `seconds`: for all of one POST."""

    def __init__(
        self,
        policy: CallbackPolicy,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext | None = None,
        seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._given_tls = tls
        self._seconds = seconds

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> AttemptResult:
        """Send a body. Raises CallbackRefusedError when it may not go there; any other failure is in the reply."""
        target = self._policy.target(url)
        began = time.monotonic()
        deadline = began + self._seconds
        status, error, retry_after_seconds = None, None, None
        try:
            addresses = resolve_allowed_addresses(target, self._policy, self._resolver, seconds=self._seconds)
            answer = self._exchange(target, addresses[:_MAX_ADDRESSES], body, headers, deadline)
            status = answer.status
            error = _unwelcome(status)
            retry_after_seconds = _retry_after_seconds(answer.getheader("Retry-After"))
        except NameUnresolvedError as unresolved:
            error = unresolved.message
        except TimeoutError:
            error = f"There was no complete answer within {self._seconds:g} s."
        except ssl.SSLCertVerificationError as untrusted:
            error = f"Its TLS certificate is not valid: {untrusted.verify_message}."
        except ssl.SSLError:
            error = "TLS could not be set up with it."
        except ConnectionRefusedError:
            error = "It refused the connection."
        except http.client.HTTPException:
            error = "It broke off its answer, or its answer is no HTTP."
        except OSError:
            error = "The connection failed."
        duration_ms = round((time.monotonic() - began) * 1000)
        return AttemptResult(
            duration_ms=duration_ms, status_code=status, error=error, retry_after_seconds=retry_after_seconds
        )

    def _exchange(
        self,
        target: CallbackTarget,
        addresses: Sequence[str],
        body: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> http.client.HTTPResponse:
        with _connected(addresses, target.port, deadline) as plain, self._secured(plain, target, deadline) as connected:
            connection = http.client.HTTPConnection(target.host, target.port)
            # With a socket already there, http.client neither looks up nor connects to anything.
            connection.sock = stream = _TimedStream(connected, deadline)
            connection.request("POST", target.path, body, {"Host": target.host_header, **_HEADERS, **headers})
            with connection.getresponse() as answer:
                stream.may_end = True
                # Only to see that it is whole: nothing in it is of use.
                content = answer.read(_MAX_ANSWER_BYTES)
                if answer.length and len(content) < _MAX_ANSWER_BYTES:
                    raise http.client.IncompleteRead(content, answer.length)
            return answer

    def _secured(self, plain: socket.socket, target: CallbackTarget, deadline: float) -> socket.socket:
        if target.scheme == "http":
            return plain
        plain.settimeout(_left(deadline))
        return self._tls.wrap_socket(plain, server_hostname=target.host)


class _TimedStream(io.RawIOBase):
    """A connected socket for http.client that ends at a deadline, however small the pieces are that come in."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self.may_end = False  # http.client takes a head that breaks off for a whole one

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._socket.settimeout(_left(self._deadline))
        count = self._socket.recv_into(buffer)
        if not count and not self.may_end:
            raise http.client.IncompleteRead(b"")
        return count

    def sendall(self, content: bytes) -> None:
        unsent = memoryview(content)
        while unsent:
            self._socket.settimeout(_left(self._deadline))
            unsent = unsent[self._socket.send(unsent) :]

    def close(self) -> None:
        """Do nothing: http.client closes its socket before the answer is read. The sender closes the real one."""


def _connected(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers; each has its share of the time that is left."""
    for index, address in enumerate(addresses):
        left = len(addresses) - index
        try:
            return socket.create_connection((address, port), timeout=_left(deadline) / left)
        except OSError:
            if left == 1:
                raise
    raise TimeoutError


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _unwelcome(status: int) -> str | None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"It answered {status}; redirects are not followed."
    if status == HTTPStatus.GONE:
        return f"It answered {status}: it wants no more of this webhook."
    return f"It answered {status}."


def _retry_after_seconds(retry_after: str | None) -> int | None:
    """Read Retry-After: seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        return max(0, math.ceil((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None
