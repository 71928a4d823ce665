"""The embedded AWS serves requests that the stack has signed, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from gateway.aws.clients import Clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.emulator import Emulator

_LIST_TABLES = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
_CREATE_STACK = "Action=CreateStack&StackName=x&TemplateBody=%7B%22Resources%22%3A%7B%7D%7D"


def signed(
    emulator: Emulator, *, secret: str | None = None, service: str = "dynamodb", body: bytes = b"{}", **headers: str
) -> dict[str, str]:
    """Return the headers of a signed ListTables."""
    environment = emulator.environment
    credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], secret or environment["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest("POST", f"{emulator.endpoint_url}/", data=body, headers={**_LIST_TABLES, **headers})
    SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return dict(request.headers)


def post(emulator: Emulator, headers: dict[str, str], body: bytes = b"{}", path: str = "/") -> requests.Response:
    """Send a request with these headers."""
    return requests.post(f"{emulator.endpoint_url}{path}", headers=headers, data=body, timeout=5)


def test_a_signed_request_is_served(emulator: Emulator) -> None:
    """The helper of these tests signs as boto3 does; the response has no headers for browsers."""
    response = post(emulator, signed(emulator))
    assert response.status_code == 200
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("POST", "/", {"Content-Type": "application/x-www-form-urlencoded"}, _CREATE_STACK),
        ("GET", "/?Action=ListStacks", {}, ""),
        ("GET", f"/?{_CREATE_STACK}", {}, ""),
        ("POST", "/", _LIST_TABLES, "{}"),
        ("POST", "/?Action=SendMessage&MessageBody=x", {}, ""),
        ("GET", "/000000000000/any-queue?Action=SendMessage&MessageBody=x", {}, ""),
        ("POST", "/_ministack/reset", {}, ""),
        ("GET", "/_ministack/config", {}, ""),
        ("POST", "/_ministack/config", {}, "{}"),
        ("GET", "/_ministack/sqs/messages", {}, ""),
        ("POST", "/_ministack/health", {}, ""),
        ("GET", "/_ministack/health?reset=1", {"Origin": "http://127.0.0.1:3000"}, ""),
        ("GET", "/_ministack/health/../reset", {}, ""),
        ("GET", "/_localstack/health", {}, ""),
        ("POST", "/2015-03-31/functions/x/invocations", {}, "{}"),
        ("GET", "/", {}, ""),
        ("GET", "/latest/meta-data/iam/security-credentials/", {}, ""),
        ("OPTIONS", "/", {"Access-Control-Request-Method": "POST"}, ""),
        ("TRACE", "/", {}, ""),
    ],
)
def test_unsigned_requests_are_refused(
    emulator: Emulator, method: str, path: str, headers: dict[str, str], body: str
) -> None:
    """Whatever service or control they address; pages can read no response."""
    url = f"{emulator.endpoint_url}{path}"
    prepared = requests.Request(method, url, headers=headers, data=body).prepare()
    prepared.url = url  # requests would resolve `..`
    response = requests.Session().send(prepared, timeout=5)
    assert response.status_code == 403
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def _old(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=16)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past.replace(tzinfo=None))
    return signed(emulator)


@pytest.mark.parametrize(
    "forge",
    [
        lambda emulator, _: signed(emulator, secret="wrong"),  # noqa: S106  a wrong one
        lambda emulator, _: signed(emulator) | {"X-Amz-Target": "DynamoDB_20120810.DescribeEndpoints"},
        lambda emulator, _: signed(emulator) | {"X-Amz-Security-Token": "any"},
        lambda emulator, _: signed(emulator) | {"Host": "rebound.example"},
        lambda emulator, _: signed(emulator) | {"Origin": emulator.endpoint_url},
        lambda emulator, _: signed(emulator) | {"Sec-Fetch-Site": "same-origin"},
        lambda emulator, _: signed(emulator, body=b'{"Limit": 1}'),
        lambda emulator, _: signed(emulator, service="cloudformation"),
        _old,
    ],
    ids=[
        "wrong secret", "changed target", "added header", "foreign host", "own origin", "from a page", "other body",
        "service that does not run", "old",
    ],
)  # fmt: skip
def test_forged_requests_are_refused(
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    forge: Callable[[Emulator, pytest.MonkeyPatch], dict[str, str]],
) -> None:
    """A signature is good for one request, from one place, for a quarter of an hour."""
    assert post(emulator, forge(emulator, monkeypatch)).status_code == 403


def test_a_signature_is_good_for_its_path_and_query_only(emulator: Emulator) -> None:
    """Neither can be changed or added."""
    headers = signed(emulator)
    assert post(emulator, headers, path="/other").status_code == 403
    assert post(emulator, headers, path="/?Action=ListQueues").status_code == 403


@pytest.mark.parametrize(
    ("old", "new"),
    [("a.txt", "b.txt"), ("X-Amz-Expires=3600", "X-Amz-Expires=360000"), ("X-Amz-Signature=", "X-Amz-Signature=0"),
     ("X-Amz-Algorithm", "x=1&X-Amz-Algorithm"), ("X-Amz-Expires=3600", "X-Amz-Expires=-1")],
)  # fmt: skip
def test_a_changed_presigned_url_is_refused(aws: dict[str, str], aws_clients: Clients, old: str, new: str) -> None:
    """A presigned URL reads the object that was signed, as on AWS."""
    for name in ("a.txt", "b.txt"):
        aws_clients.s3.put_object(Bucket=aws["BUCKET_NAME"], Key=f"outputs/{name}", Body=b"hello")
    where: Any = {"Bucket": aws["BUCKET_NAME"], "Key": "outputs/a.txt"}
    url = aws_clients.s3.generate_presigned_url("get_object", where)
    assert requests.get(url, timeout=5).content == b"hello"
    assert requests.get(url.replace(old, new), timeout=5).status_code == 403
    assert requests.put(url, data=b"x", timeout=5).status_code == 403


def test_an_expired_presigned_url_is_refused(aws: dict[str, str], aws_clients: Clients) -> None:
    """As on AWS."""
    where: Any = {"Bucket": aws["BUCKET_NAME"], "Key": "outputs/a.txt"}
    url = aws_clients.s3.generate_presigned_url("get_object", where, ExpiresIn=0)
    assert requests.get(url, timeout=5).status_code == 403


def test_only_the_services_of_the_stack_run(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation and Lambda would run code, even for a caller that knows the secret."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Exception, match="AccessDenied"):
        Clients().cloudformation.list_stacks()


def test_a_body_without_end_is_refused(emulator: Emulator) -> None:
    """Its size is limited before it is hashed."""
    body = b"x" * (65 * 1024 * 1024)
    assert post(emulator, signed(emulator, body=body), body).status_code == 403
