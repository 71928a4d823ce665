"""HTTP client for a gateway.

The server is not trusted: responses are limited in size and time and validated against the documented types, and
redirects are followed without credentials.
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

Body = TypeVar("Body")

_CONNECT_SECONDS = 5
# The gateway may hold a request for 25 s, and API Gateway allows it 29.
_READ_SECONDS = 35
_TOTAL_SECONDS = 60  # of a response that arrives in drips
_MAX_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_EXIT_CODES = {
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    429: ExitCode.TRY_LATER,
}
_SERVER_ERROR = 500
_MAX_MESSAGE_CHARACTERS = 500  # of text from the server


class HttpClient:
    """HTTP to one gateway. Every method raises CommandFailedError, with the exit code that fits.

    `timeout_seconds` replaces the time limits of each request.
    """

    def __init__(self, connection: Connection, *, timeout_seconds: float | None = None) -> None:
        self.url = connection.url
        self.clock_ahead_seconds: float | None = None  # the gateway's clock compared to ours, by its last response
        self._has_credentials = bool(connection.headers)
        self._has_token = "Authorization" in connection.headers
        self._connect_seconds = timeout_seconds or _CONNECT_SECONDS
        self._read_seconds = timeout_seconds or _READ_SECONDS
        self._session = requests.Session()
        self._session.headers["Accept-Encoding"] = "identity"  # a small response can unpack to a huge one
        self._session.headers["User-Agent"] = f"comfyui-gateway/{VERSION}"

        def authenticate(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers.update(connection.headers)
            return request

        # A .netrc would override headers of the session; it does not override this.
        self._session.auth = authenticate

    def fetch(
        self,
        method: str,
        path: str,
        shape: type[Body],
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Body:
        """Send a request and parse its response as this type."""
        return self.parse(self.send(method, path, query=query, body=body), shape)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request; the body of the response is not read yet."""
        try:
            response = self._session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                headers=headers,
                timeout=(self._connect_seconds, self._read_seconds),
                stream=True,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError) as error:
            raise self._unreachable(error) from None
        self._compare_clocks(response)
        return response

    def parse(self, response: requests.Response, shape: type[Body]) -> Body:
        """Read a response and validate it as this type."""
        content = self.read(response)
        try:
            return TypeAdapter(shape).validate_json(content)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"])) or "the body"
            raise self._not_a_gateway(response, f"{where} is invalid") from None

    def read(self, response: requests.Response) -> bytes:
        """Read the body of a successful response."""
        if not response.ok or response.status_code in _REDIRECT_STATUSES:
            raise self._refusal(response)
        return self._read(response)

    def stream(self, path: str) -> Iterator[bytes]:
        """GET a file, chunk by chunk, following a redirect to its store."""
        response = self.send("GET", path)
        if response.status_code in _REDIRECT_STATUSES:
            response = self._follow(response)
        if response.status_code != requests.codes.ok:
            raise self._refusal(response)
        with response:
            try:
                yield from _chunks(response)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._unreachable(error) from None

    def _follow(self, response: requests.Response) -> requests.Response:
        """Follow a redirect to a file's store: without credentials, and never from https to http."""
        target = urljoin(response.url, response.headers.get("Location", ""))
        response.close()
        schemes = ("https",) if self.url.startswith("https:") else ("http", "https")
        if urlsplit(target).scheme not in schemes:
            raise CommandFailedError("The gateway redirects to an address that is not safe", ExitCode.UNREACHABLE)
        host = urlsplit(target).hostname
        try:
            found = requests.get(
                target,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=(self._connect_seconds, self._read_seconds),
                allow_redirects=False,
                auth=lambda request: request,
            )
        except (requests.RequestException, ValueError) as error:
            reason = _reason(error)
        else:
            if found.status_code == requests.codes.ok:
                return found
            found.close()
            reason = f"status {found.status_code}"
        raise CommandFailedError(f"Cannot download the file from {host}: {reason}", ExitCode.UNREACHABLE)

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        deadline = time.monotonic() + _TOTAL_SECONDS
        with response:
            try:
                for chunk in _chunks(response):
                    content += chunk
                    if len(content) > _MAX_BYTES:
                        raise self._not_a_gateway(response, f"the response has more than {_MAX_BYTES} bytes")
                    if time.monotonic() > deadline:
                        raise self._not_a_gateway(response, f"the response takes longer than {_TOTAL_SECONDS} s")
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._unreachable(error) from None
        return bytes(content)

    def _refusal(self, response: requests.Response) -> CommandFailedError:
        if response.status_code in _REDIRECT_STATUSES:
            return self._not_a_gateway(response, "it redirects", advice="Use the address that it redirects to.")
        try:
            body = TypeAdapter(responses.ErrorJson).validate_json(self._read(response))
        except ValidationError:
            return self._not_a_gateway(response, f"status {response.status_code} without an error of a gateway")
        message, advice = body["message"], ""
        problems = (body["details"] or {"errors": []})["errors"]
        if problems:
            message = "; ".join(f"{p['path']}: {p['message']}" if p["path"] else p["message"] for p in problems)
        if response.status_code >= _SERVER_ERROR:
            message = f"{message[:_MAX_MESSAGE_CHARACTERS]} (correlation id {body['correlationId'][:64]})"
            return CommandFailedError(message, ExitCode.UNREACHABLE)
        code = _EXIT_CODES.get(response.status_code, ExitCode.REFUSED)
        if response.status_code == requests.codes.unauthorized:
            message, advice = self._unauthorized(message)
        elif response.status_code == requests.codes.not_found:
            message = unquote(message)  # it quotes the name as the path has it
        message = message[: 4 * _MAX_MESSAGE_CHARACTERS]
        return RefusedError(
            message, code, error_code=body["error"], advice=advice, retry_after=response.headers.get("Retry-After")
        )

    def _unauthorized(self, message: str) -> tuple[str, str]:
        """Return message and advice for credentials that are missing or invalid."""
        if not self._has_credentials:
            return (
                "The gateway requires an API key or a token (--api-key, --token)",
                "Set COMFYUI_GATEWAY_API_KEY, or write a profile: comfyui-gateway init",
            )
        if self._has_token:
            if message.startswith("Authentication required"):  # a bad token is named by the message
                return message, "This gateway accepts no tokens, so yours was ignored."
            return message, ""
        return (
            message,
            "Check --api-key, COMFYUI_GATEWAY_API_KEY or the profile. Create a key: comfyui-gateway keys create",
        )

    def _not_a_gateway(self, response: requests.Response, reason: str, *, advice: str = "") -> CommandFailedError:
        response.close()
        message = f"The server at {self.url} is not a ComfyUI Gateway of this version ({VERSION}): {reason}"
        return CommandFailedError(message, ExitCode.UNREACHABLE, advice=advice)

    def _unreachable(self, error: Exception) -> CommandFailedError:
        return CommandFailedError(
            f"Cannot reach a gateway at {self.url}: {_reason(error)}",
            ExitCode.UNREACHABLE,
            advice="Start one with comfyui-gateway run, or set --url or COMFYUI_GATEWAY_URL to another.",
        )

    def _compare_clocks(self, response: requests.Response) -> None:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  slow to import, and not always needed

        try:
            server_time = parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return
        self.clock_ahead_seconds = server_time - time.time()


class RefusedError(CommandFailedError):
    """The gateway rejected a request. `error_code`: as in the API.

    `retry_seconds`: after how many the request may succeed, if the gateway returned that.
    """

    def __init__(self, message: str, code: ExitCode, *, error_code: str, advice: str, retry_after: str | None) -> None:
        super().__init__(message, code, advice=advice)
        self.error_code = error_code
        self.retry_seconds = int(retry_after) if retry_after and retry_after.isdecimal() else None


def part(text: str) -> str:
    """Encode a text as one segment of a path. Raises CommandFailedError for a text that cannot be one."""
    if text in ("", ".", ".."):  # HTTP clients resolve dots, escaped or not
        message = f"'{text}' is not a valid name or id" if text else "A name or id is empty: is a variable not set?"
        raise CommandFailedError(message, ExitCode.NOT_FOUND)
    return quote(text, safe="")


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Read a body as it arrives: requests itself waits for a whole chunk, however slowly that arrives."""
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        yield chunk


def _reason(error: Exception) -> str:
    """Describe a network error; its own text has memory addresses of objects."""
    if isinstance(error, requests.exceptions.SSLError):
        is_bad = "CERTIFICATE" in str(error)
        return "its TLS certificate is invalid" if is_bad else "it does not use TLS: is it http, not https?"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy rejects the request (HTTP_PROXY, HTTPS_PROXY)"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "timeout"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "the response was cut off"
    text = str(error)
    for sign, meaning in (
        ("refused", "connection refused"),
        ("resolve", "its name cannot be resolved"),
        ("No route", "no route to host"),
        ("unreachable", "network unreachable"),
        ("timed out", "timeout"),
    ):
        if sign in text:
            return meaning
    return "connection closed" if isinstance(error, requests.ConnectionError) else "the request cannot be sent"
