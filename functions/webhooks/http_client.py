"""Send one signed POST to a receiver that may be slow, broken, hostile, or a name that points into our own network.

    URL ─▶ host ─▶ all its addresses, checked ─▶ connection to one of these very addresses ─▶ TLS by the host's name
        ─▶ request ─▶ whole response, up to a size limit

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

_MAX_RESPONSE_BYTES = 64 * 1024
_MAX_ADDRESSES = 4  # tried one after the other
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"ComfyUI-Gateway/{VERSION}",
    "Connection": "close",
}


class WebhookSender:
    """Sends webhooks. `tls`: the trusted authorities, by default the system's. `seconds`: time limit of one POST."""

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
        """Send a body. Raises CallbackRefusedError when the URL is not allowed; any other failure is in the reply."""
        target = self._policy.target(url)
        began = time.monotonic()
        deadline = began + self._seconds
        status, error, retry_after_seconds = None, None, None
        try:
            addresses = resolve_allowed_addresses(target, self._policy, self._resolver, seconds=self._seconds)
            response = self._exchange(target, addresses[:_MAX_ADDRESSES], body, headers, deadline)
            status = response.status
            error = _status_error(status)
            retry_after_seconds = _retry_after_seconds(response.getheader("Retry-After"))
        except NameUnresolvedError as unresolved:
            error = unresolved.message
        except TimeoutError:
            error = f"No complete response within {self._seconds:g} s."
        except ssl.SSLCertVerificationError as untrusted:
            error = f"The TLS certificate is not valid: {untrusted.verify_message}."
        except ssl.SSLError:
            error = "The TLS handshake failed."
        except ConnectionRefusedError:
            error = "The connection was refused."
        except http.client.HTTPException:
            error = "The response is incomplete, or not HTTP."
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
            # With a socket already set, http.client neither resolves a name nor connects.
            connection.sock = stream = _TimedStream(connected, deadline)
            connection.request("POST", target.path, body, {"Host": target.host_header, **_HEADERS, **headers})
            with connection.getresponse() as response:
                stream.may_end = True
                # Read only to check that the response is complete: its content is not used.
                content = response.read(_MAX_RESPONSE_BYTES)
                if response.length and len(content) < _MAX_RESPONSE_BYTES:
                    raise http.client.IncompleteRead(content, response.length)
            return response

    def _secured(self, plain: socket.socket, target: CallbackTarget, deadline: float) -> socket.socket:
        if target.scheme == "http":
            return plain
        plain.settimeout(_remaining_seconds(deadline))
        return self._tls.wrap_socket(plain, server_hostname=target.host)


class _TimedStream(io.RawIOBase):
    """A connected socket for http.client that times out at a deadline, however slowly bytes arrive."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self.may_end = False  # http.client accepts incomplete headers as complete

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._socket.settimeout(_remaining_seconds(self._deadline))
        count = self._socket.recv_into(buffer)
        if not count and not self.may_end:
            raise http.client.IncompleteRead(b"")
        return count

    def sendall(self, content: bytes) -> None:
        unsent = memoryview(content)
        while unsent:
            self._socket.settimeout(_remaining_seconds(self._deadline))
            unsent = unsent[self._socket.send(unsent) :]

    def close(self) -> None:
        """Do nothing: http.client closes its socket before the response is read. The sender closes the real one."""


def _connected(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that accepts; each gets an equal share of the remaining time."""
    for index, address in enumerate(addresses):
        remaining = len(addresses) - index
        try:
            return socket.create_connection((address, port), timeout=_remaining_seconds(deadline) / remaining)
        except OSError:
            if remaining == 1:
                raise
    raise TimeoutError


def _remaining_seconds(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _status_error(status: int) -> str | None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"Responded {status}; redirects are not followed."
    if status == HTTPStatus.GONE:
        return f"Responded {status}: this webhook is not wanted any more."
    return f"Responded {status}."


def _retry_after_seconds(retry_after: str | None) -> int | None:
    """Parse Retry-After: seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        return max(0, math.ceil((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()))
    except (ValueError, TypeError, OverflowError):
        return None
