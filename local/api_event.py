"""Convert a request to the event of API Gateway: REST API, Lambda proxy integration, payload format 1.0.

Fields as in https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html.
Where that page gives no details:

- `path` and `pathParameters` keep the client's percent-encoding, query parameters are decoded (a REST API does so,
  an HTTP API does not: live captures in github.com/hotsock/voker/pull/8; github.com/serverless/serverless/issues/5037).
- `path` does not contain the stage, as behind a custom domain, which a deployed gateway should have.
- A UTF-8 body is passed as text, any other as base64. On AWS the API's binary media types decide.
- Header names arrive in Title-Case, because the server does not keep their case. HTTP header names have no case.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from functions.routing import resource_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

STAGE = "local"
ACCOUNT_ID = "000000000000"
_API_ID = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it was received."""

    method: str
    path: str  # still percent-encoded
    query: str  # without the question mark
    headers: Sequence[tuple[str, str]]  # one entry per repeated header
    body: bytes
    source_ip: str
    scheme: str
    port: int  # the local port


def to_event(request: HttpRequest, *, request_id: str, received_at: datetime) -> dict[str, Any]:
    """Return the event. `request_id` is unique per request; `received_at` is UTC."""
    headers = _grouped((name.title(), value) for name, value in request.headers)
    # The sender's own X-Forwarded-For stays in front, as on AWS: its first entry cannot be trusted.
    headers["X-Forwarded-For"] = [", ".join([*headers.get("X-Forwarded-For", []), request.source_ip])]
    headers["X-Forwarded-Port"] = [str(request.port)]
    headers["X-Forwarded-Proto"] = [request.scheme]
    query = _grouped(parse_qsl(request.query, keep_blank_values=True))
    resource, path_parameters = resource_for(request.path)
    body, is_base64 = _body(request.body)
    host = headers.get("Host", ["localhost"])[-1]
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) if query else None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": path_parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": _API_ID,
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": _identity(request.source_ip, headers),
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": received_at.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(received_at.timestamp() * 1000),
            "resourceId": "local",
            "resourcePath": resource,
            "stage": STAGE,
        },
        "body": body,
        "isBase64Encoded": is_base64,
    }


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _last(grouped: dict[str, list[str]]) -> dict[str, str]:
    # The single-valued forms contain the last of repeated values.
    return {name: values[-1] for name, values in grouped.items()}


def _identity(source_ip: str, headers: dict[str, list[str]]) -> dict[str, str | None]:
    return {
        "accessKey": None,
        "accountId": None,
        "caller": None,
        "cognitoAuthenticationProvider": None,
        "cognitoAuthenticationType": None,
        "cognitoIdentityId": None,
        "cognitoIdentityPoolId": None,
        "principalOrgId": None,
        "sourceIp": source_ip,
        "user": None,
        "userAgent": headers.get("User-Agent", [None])[-1],
        "userArn": None,
    }


def _body(content: bytes) -> tuple[str | None, bool]:
    if not content:
        return None, False
    try:
        return content.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), True
