"""HTTP to a gateway.

What answers is not trusted: answers are bounded in size and time and checked against the shapes that the API documents,
and redirects are not followed with credentials.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

import requests
import urllib3
from pydantic import TypeAdapter, ValidationError

from cli.exit_codes import CommandFailedError, ExitCode
from functions.api import responses
from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.connection import Connection

Answer = TypeVar("Answer")

_CONNECT_SECONDS = 5
# A request may be held for 25 s, and API Gateway gives it 29.
_READ_SECONDS = 35
_WHOLE_SECONDS = 60  # of an answer that comes in drops
_MAX_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_CODES = {
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    429: ExitCode.TRY_LATER,
}
_SERVER_ERROR = 500
_MAX_SHOWN = 500  # characters of what is none of our own words


class HttpClient:
    """The way to one gateway. Every method raises CommandFailedError, with the exit code that fits."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self.signs_in = bool(connection.headers)
        self._by_token = "Authorization" in connection.headers
        self.clock_ahead_seconds: float | None = None  # of the last answer's clock, before ours
        self._session = requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"  # a small answer can unpack to a huge one
        self._session.headers["User-Agent"] = f"comfyui-gateway/{VERSION}"

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(connection.headers)
            return request

        # Headers of the session would be overwritten by what a .netrc says; this is not.
        self._session.auth = sign

    def answer(
        self,
        method: str,
        path: str,
        shape: type[Answer],
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send a request, and read its answer, which has a shape."""
        return self.parsed(self.request(method, path, query=query, body=body), shape)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; the body of what comes back is not read yet."""
        try:
            response = self._session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                headers=headers,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                stream=True,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError) as error:
            raise self._no_answer(error) from None
        self._look_at_clock(response)
        return response

    def parsed(self, response: requests.Response, shape: type[Answer]) -> Answer:
        """Read an answer of this shape."""
        content = self.content(response)
        try:
            return TypeAdapter(shape).validate_json(content)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "its body"
            raise self._no_gateway(response, f"{where} is not what it should be") from None

    def content(self, response: requests.Response) -> bytes:
        """Read an answer, whatever it holds."""
        if not response.ok or response.status_code in _REDIRECTS:
            raise self._refusal(response)
        return self._read(response)

    def pieces(self, path: str) -> Iterator[bytes]:
        """GET a file, piece by piece, wherever it lies."""
        response = self.request("GET", path)
        if response.status_code in _REDIRECTS:
            response = self._redirected(response)
        if response.status_code != requests.codes.ok:
            raise self._refusal(response)
        with response:
            try:
                yield from _pieces(response)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._no_answer(error) from None

    def _redirected(self, response: requests.Response) -> requests.Response:
        """Follow the way to where a file lies: without credentials, and never from https to http."""
        target = urljoin(response.url, response.headers.get("Location", ""))
        response.close()
        schemes = ("https",) if self.url.startswith("https:") else ("http", "https")
        if urlsplit(target).scheme not in schemes:
            raise CommandFailedError("The file is at an address that is not to be trusted", ExitCode.UNREACHABLE)
        where = urlsplit(target).hostname
        try:
            found = requests.get(
                target,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                allow_redirects=False,
                auth=lambda request: request,
            )
        except (requests.RequestException, ValueError) as error:
            reason = _reason(error)
        else:
            if found.status_code == requests.codes.ok:
                return found
            found.close()
            reason = f"it answers with {found.status_code}"
        raise CommandFailedError(f"The file cannot be fetched from {where}: {reason}", ExitCode.UNREACHABLE)

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        deadline = time.monotonic() + _WHOLE_SECONDS
        with response:
            try:
                for piece in _pieces(response):
                    content += piece
                    if len(content) > _MAX_BYTES:
                        raise self._no_gateway(response, f"with more than {_MAX_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise self._no_gateway(response, f"for longer than {_WHOLE_SECONDS} s")
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._no_answer(error) from None
        return bytes(content)

    def _refusal(self, response: requests.Response) -> CommandFailedError:
        if response.status_code in _REDIRECTS:
            return self._no_gateway(response, "with a redirect: give the address that it leads to")
        try:
            body = TypeAdapter(responses.ErrorJson).validate_json(self._read(response))
        except ValidationError:
            return self._no_gateway(response, f"with {response.status_code} and no error of a gateway")
        message = body["message"]
        problems = (body["details"] or {"errors": []})["errors"]
        if problems:
            message = "; ".join(f"{p['path']}: {p['message']}" if p["path"] else p["message"] for p in problems)
        if response.status_code >= _SERVER_ERROR:
            message += f" (correlation id {body['correlationId']})"
            return CommandFailedError(message[:_MAX_SHOWN], ExitCode.UNREACHABLE)
        code = _CODES.get(response.status_code, ExitCode.REFUSED)
        if response.status_code == requests.codes.unauthorized and not self.signs_in:
            message += " Put it into COMFYUI_GATEWAY_API_KEY, or a profile: comfyui-gateway init"
        elif self._by_token and message.startswith("Authentication required"):  # else it says what is wrong with it
            message += " It takes no tokens, so yours was not looked at."
        elif response.status_code == requests.codes.not_found:
            message = unquote(message)  # it names what was not found as the path has it
        return RefusedError(message[: 4 * _MAX_SHOWN], code, response.headers.get("Retry-After"))

    def _no_gateway(self, response: requests.Response, how: str) -> CommandFailedError:
        response.close()
        return CommandFailedError(
            f"{self.url} answers, but not as a ComfyUI Gateway of this version ({VERSION}): {how}",
            ExitCode.UNREACHABLE,
        )

    def _no_answer(self, error: Exception) -> CommandFailedError:
        return CommandFailedError(
            f"No gateway answers at {self.url}: {_reason(error)}. Start one with comfyui-gateway run, or name another "
            "with --url or COMFYUI_GATEWAY_URL",
            ExitCode.UNREACHABLE,
        )

    def _look_at_clock(self, response: requests.Response) -> None:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  slow to import, and not always there

        try:
            allowed = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return
        self.clock_ahead_seconds = allowed - time.time()


class RefusedError(CommandFailedError):
    """The gateway said no. `retry_seconds`: after how many it may say yes, where it told."""

    def __init__(self, message: str, code: ExitCode, retry_after: str | None) -> None:
        super().__init__(message, code)
        self.retry_seconds = int(retry_after) if retry_after and retry_after.isdecimal() else None


def part(text: str) -> str:
    """Make one part of a path of a text, whatever is in it. Raises CommandFailedError for what can be none."""
    if text in ("", ".", ".."):  # HTTP clients take dots for a way up, escaped or not
        message = f"Nothing is called '{text}'" if text else "A name or id is empty: is a variable not set?"
        raise CommandFailedError(message, ExitCode.NOT_FOUND)
    return quote(text, safe="")


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Read a body as it comes: requests itself waits for a whole piece, however slowly that comes."""
    while piece := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        yield piece


def _reason(error: Exception) -> str:
    """Say what is the matter with the network, in words; the text of these errors holds addresses of objects."""
    if isinstance(error, requests.exceptions.SSLError):
        is_bad = "CERTIFICATE" in str(error)
        return "its TLS certificate is not good" if is_bad else "no TLS is spoken there: is it http, not https?"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let it through (HTTP_PROXY, HTTPS_PROXY)"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the answer broke off"
    text = str(error)
    for sign, meaning in (
        ("refused", "connection refused"),
        ("resolve", "its name cannot be resolved"),
        ("No route", "no route to it"),
        ("unreachable", "the network is unreachable"),
        ("timed out", "no answer in time"),
    ):
        if sign in text:
            return meaning
    return "the connection broke off" if isinstance(error, requests.ConnectionError) else "the request cannot be sent"
