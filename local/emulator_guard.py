"""Refuse every request to the embedded AWS that does not come from the stack itself.

Whoever can call the embedded AWS owns the gateway, and any process, any user of this machine and any page in a browser
can send requests to its port. ministack does not check signatures, so this guard does: it computes the signature of
each request with botocore and the secret of this run, and passes on only what has the same.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

HEALTH_PATH = b"/_ministack/health"
MAX_BODY_BYTES = 64 * 1024 * 1024  # the stack's own largest request is one part of an upload, 8 MiB
_SIGNING_NAMES = frozenset({"dynamodb", "sqs", "s3", "events"})  # DynamoDB Streams signs as dynamodb
# Node.js sends Sec-Fetch-Mode as well.
_BY_BROWSERS = frozenset({"origin", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"})
_MAX_CLOCK_DIFFERENCE = timedelta(minutes=15)  # as on AWS
_SCOPE = r"(?P<key_id>[^/, ]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)/aws4_request"
_AUTHORIZATION = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={_SCOPE}, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)


class _RefusedError(Exception):
    """The request is not the stack's own; the message says why."""


@dataclass(frozen=True)
class _Signature:
    """A signature as the request states it, in its headers or, for a presigned URL, in its query."""

    key_id: str
    date: str  # of the credential scope
    region: str
    service: str
    signed_headers: list[str]
    signature: str
    signed_at: str
    expires_seconds: int | None = None  # of a presigned URL


class EmulatorGuard:
    """An ASGI application in front of ministack's. `host`: the only value of `Host` that is accepted."""

    def __init__(self, app: AsgiApp, *, host: str, key_id: str, secret: str) -> None:
        self._app = app
        self._host = host
        self._key_id = key_id
        self._credentials = Credentials(key_id, secret)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass on the request of the stack's own client; respond 403 to any other."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        try:
            self._check_sender(scope["method"], headers)
            if (scope["method"], scope["raw_path"]) == ("GET", HEALTH_PATH):
                body = b""
            else:
                signature = _signature_of(scope, headers)
                body = await _body_of(receive)
                self._check_signature(signature, scope, headers, body)
        except _RefusedError as refused:
            await _refuse(send, str(refused))
            return
        await self._app(scope, _replay(body, receive), _without_cors(send))

    def _check_sender(self, method: str, headers: list[tuple[str, str]]) -> None:
        if method == "OPTIONS" or any(name in _BY_BROWSERS for name, _ in headers):
            raise _RefusedError("Requests from browsers are refused.")
        # A foreign name that resolves to this address is how a web page gets around the same-origin policy.
        if [value for name, value in headers if name == "host"] != [self._host]:
            raise _RefusedError("The Host header is not the address of the embedded AWS.")

    def _check_signature(self, stated: _Signature, scope: Message, headers: list[tuple[str, str]], body: bytes) -> None:
        if stated.key_id != self._key_id or stated.service not in _SIGNING_NAMES:
            raise _RefusedError("The credentials or the service are not those of this stack.")
        present = [name for name, _ in headers]
        unsigned = {name for name in present if name.startswith("x-amz-")} - set(stated.signed_headers)
        if (
            unsigned
            or "host" not in stated.signed_headers
            or any(present.count(name) != 1 for name in stated.signed_headers)
        ):
            raise _RefusedError("The signature does not cover the headers of the request.")
        _check_time(stated)
        values = {name: value for name, value in headers if name in stated.signed_headers}
        claimed = values.get("x-amz-content-sha256")
        if claimed is not None and claimed != hashlib.sha256(body).hexdigest():
            raise _RefusedError("The body is not the signed one.")
        if not hmac.compare_digest(self._expected(stated, scope, values, body), stated.signature):
            raise _RefusedError("The signature is wrong.")

    def _expected(self, stated: _Signature, scope: Message, values: dict[str, str], body: bytes) -> str:
        query = "&".join(
            part
            for part in scope["query_string"].decode("latin-1").split("&")
            if part and not (stated.expires_seconds is not None and part.startswith("X-Amz-Signature="))
        )
        path = scope["raw_path"].decode("latin-1")
        request = AWSRequest(
            method=scope["method"],
            url=f"http://{self._host}{path}{'?' if query else ''}{query}",
            headers=values,
            data=body,
        )
        request.context["timestamp"] = stated.signed_at
        signer: SigV4Auth
        if stated.expires_seconds is not None:
            signer = S3SigV4QueryAuth(self._credentials, stated.service, stated.region, stated.expires_seconds)
        elif stated.service == "s3":
            signer = S3SigV4Auth(self._credentials, stated.service, stated.region)
        else:
            signer = SigV4Auth(self._credentials, stated.service, stated.region)
        signature: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        return signature


def _signature_of(scope: Message, headers: list[tuple[str, str]]) -> _Signature:
    query = scope["query_string"].decode("latin-1")
    if "X-Amz-Signature=" in query:
        return _query_signature(query, scope["method"])
    values = [value for name, value in headers if name == "authorization"]
    found = _AUTHORIZATION.fullmatch(values[0]) if len(values) == 1 else None
    signed_at = dict(headers).get("x-amz-date")
    if found is None or signed_at is None or "x-amz-date" not in found["headers"].split(";"):
        raise _RefusedError("The request has no AWS Signature Version 4.")
    return _Signature(
        key_id=found["key_id"],
        date=found["date"],
        region=found["region"],
        service=found["service"],
        signed_headers=found["headers"].split(";"),
        signature=found["signature"],
        signed_at=signed_at,
    )


def _query_signature(query: str, method: str) -> _Signature:
    values = parse_qs(query, keep_blank_values=True)
    if method not in ("GET", "HEAD") or any(len(each) != 1 for each in values.values()):
        raise _RefusedError("A presigned URL is good for reading one object only.")
    scope = re.fullmatch(_SCOPE, values.get("X-Amz-Credential", [""])[0])
    expires = values.get("X-Amz-Expires", [""])[0]
    if (
        scope is None
        or scope["service"] != "s3"
        or re.fullmatch(r"\d{1,6}", expires) is None
        or values.get("X-Amz-Algorithm") != ["AWS4-HMAC-SHA256"]
    ):
        raise _RefusedError("The presigned URL has no AWS Signature Version 4.")
    return _Signature(
        key_id=scope["key_id"],
        date=scope["date"],
        region=scope["region"],
        service=scope["service"],
        signed_headers=values.get("X-Amz-SignedHeaders", [""])[0].split(";"),
        signature=values["X-Amz-Signature"][0],
        signed_at=values.get("X-Amz-Date", [""])[0],
        expires_seconds=int(expires),
    )


def _check_time(stated: _Signature) -> None:
    try:
        at = datetime.strptime(stated.signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _RefusedError("The date of the signature is not valid.") from None
    age = datetime.now(UTC) - at
    longest = _MAX_CLOCK_DIFFERENCE
    if stated.expires_seconds is not None:
        longest = timedelta(seconds=stated.expires_seconds)
    if not -_MAX_CLOCK_DIFFERENCE <= age <= longest or not stated.signed_at.startswith(stated.date):
        raise _RefusedError("The signature has expired.")


async def _body_of(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _RefusedError("The request broke off.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise _RefusedError("The body is too large.")
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields a body that has been read, and then what follows, such as the disconnect."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def _without_cors(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if not pair[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return sent


async def _refuse(send: Send, reason: str) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": reason}).encode()
    headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
