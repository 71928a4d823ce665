from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local.api_event import HttpRequest, to_event

# The fields of the example in AWS's page on Lambda proxy integrations, "Input format of a Lambda function".
DOCUMENTED_FIELDS = {
    "resource",
    "path",
    "httpMethod",
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
    "requestContext",
    "body",
    "isBase64Encoded",
}
DOCUMENTED_CONTEXT_FIELDS = {
    "accountId",
    "apiId",
    "domainName",
    "domainPrefix",
    "extendedRequestId",
    "httpMethod",
    "identity",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "resourceId",
    "resourcePath",
    "stage",
}
DOCUMENTED_IDENTITY_FIELDS = {
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "sourceIp",
    "user",
    "userAgent",
    "userArn",
}


def event_of(
    path: str = "/jobs/1", query: str = "", headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
) -> dict[str, Any]:
    """Return the event of a default request with these changes."""
    request = HttpRequest(
        method="GET",
        path=path,
        query=query,
        headers=headers,
        body=body,
        source_ip="192.0.2.1",
        scheme="http",
        port=3000,
    )
    return to_event(request, request_id="r-1", received_at=datetime(2026, 4, 9, 12, 34, 56, 789000, tzinfo=UTC))


def test_the_fields_are_those_of_the_aws_documentation() -> None:
    """No documented field is missing, and there are no others."""
    event = event_of()
    assert event.keys() == DOCUMENTED_FIELDS
    assert event["requestContext"].keys() == DOCUMENTED_CONTEXT_FIELDS
    assert event["requestContext"]["identity"].keys() == DOCUMENTED_IDENTITY_FIELDS


def test_the_time_is_in_both_documented_forms() -> None:
    """`requestTime` is CLF-formatted, `requestTimeEpoch` in milliseconds."""
    context = event_of()["requestContext"]
    assert context["requestTime"] == "09/Apr/2026:12:34:56 +0000"
    assert context["requestTimeEpoch"] == 1775738096789


def test_missing_parts_are_null() -> None:
    """A request without query and body has nulls, as on AWS, not empty values."""
    event = event_of(path="/health")
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None
    assert event["pathParameters"] is None
    assert event["body"] is None
    assert event["isBase64Encoded"] is False


def test_repeated_headers_and_parameters_are_kept() -> None:
    """The multi-value forms contain every value in order, the single ones the last."""
    event = event_of(query="a=1&a=2&b=", headers=(("X-TAG", "one"), ("X-TAG", "two, three")))
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""]}
    assert event["queryStringParameters"] == {"a": "2", "b": ""}
    assert event["multiValueHeaders"]["X-Tag"] == ["one", "two, three"]
    assert event["headers"]["X-Tag"] == "two, three"


def test_the_path_stays_encoded_and_the_query_is_decoded() -> None:
    """As in a REST API of API Gateway."""
    event = event_of(path="/outputs/1/a%2Fb%20c", query="q=a%26b+c%2Bd%C3%BC")
    assert event["path"] == "/outputs/1/a%2Fb%20c"
    assert event["pathParameters"] == {"jobId": "1", "filename": "a%2Fb%20c"}
    assert event["queryStringParameters"] == {"q": "a&b c+dü"}


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", None),
        ("/jobs", "/jobs", None),
        ("/jobs/", "/jobs", None),
        ("/jobs/1/logs", "/jobs/{jobId}/logs", {"jobId": "1"}),
        ("/outputs/1/a/b.png", "/outputs/{jobId}/{filename+}", {"jobId": "1", "filename": "a/b.png"}),
        ("/jobs/1/unknown", "/{proxy+}", {"proxy": "jobs/1/unknown"}),
    ],
)
def test_the_resource_is_that_of_the_deployment(path: str, resource: str, parameters: dict[str, str] | None) -> None:
    """Each path of a route is a resource; all other paths are served by the greedy one at the root."""
    event = event_of(path=path)
    assert (event["resource"], event["pathParameters"]) == (resource, parameters)


def test_text_is_passed_as_text_and_bytes_as_base64() -> None:
    """A body that is not UTF-8 is base64, with the flag set."""
    assert (event_of(body="ü".encode())["body"], event_of(body="ü".encode())["isBase64Encoded"]) == ("ü", False)
    assert (event_of(body=b"\xff\x00")["body"], event_of(body=b"\xff\x00")["isBase64Encoded"]) == ("/wA=", True)


def test_a_forged_forwarding_header_is_not_trusted() -> None:
    """The sender's X-Forwarded-For comes first and the true address last; the identity has only the true one."""
    event = event_of(headers=(("X-FORWARDED-FOR", "198.51.100.7"), ("X-FORWARDED-PROTO", "https")))
    assert event["multiValueHeaders"]["X-Forwarded-For"] == ["198.51.100.7, 192.0.2.1"]
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
