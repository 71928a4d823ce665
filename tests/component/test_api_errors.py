"""Error responses: one JSON format, a correlation id, and no internal details."""

from __future__ import annotations

import io
import json
import uuid
from typing import TYPE_CHECKING

import pytest

from functions.logs import api_logger
from gateway.errors import GatewayError
from tests.component.api import AwsGateway, Gateway

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from tests.component.api import Response

JOB = "0b7f4f52-6d0f-4f0e-a6a8-3c8c1b7cf001"


def assert_error(response: Response, status: int, code: str) -> None:
    """Check for an error in the documented format."""
    assert (response.status, response.json["error"]) == (status, code)
    assert list(response.json) == ["error", "message", "details", "retryable", "correlationId"]
    assert response.json["correlationId"] == response.headers["x-correlation-id"]
    assert response.json["message"]
    assert response.json["retryable"] is (status >= 500)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/", "/nothing", "/jobs/a/b/c", "/workflows/a/b", "/outputs", "/JOBS", "//jobs"])
def test_an_unknown_path_is_404(gateway: Gateway, path: str) -> None:
    """An unknown path is a JSON 404; without a key it may be 401."""
    for method in ("GET", "POST", "DELETE"):
        assert_error(gateway.admin.send(method, path), 404, "NOT_FOUND")
    assert gateway.anonymous.get(path).status in (401, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/jobs"),
        ("DELETE", "/jobs"),
        ("POST", f"/jobs/{JOB}"),
        ("DELETE", "/workflows"),
        ("PATCH", "/workflows/w"),
        ("POST", f"/outputs/{JOB}"),
        ("DELETE", f"/outputs/{JOB}/a.png"),
        ("POST", "/health"),
    ],
)
def test_an_unsupported_method_is_405(gateway: Gateway, method: str, path: str) -> None:
    """The response lists the allowed methods, in the Allow header and in the message."""
    response = gateway.admin.send(method, path)
    assert_error(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"]
    assert all(name in response.json["message"] for name in response.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/jobs", 400, "VALIDATION_ERROR"),
        ("POST", "/workflows", 400, "VALIDATION_ERROR"),
        ("GET", f"/jobs/{JOB}", 404, "JOB_NOT_FOUND"),
        ("GET", f"/outputs/{JOB}", 404, "JOB_NOT_FOUND"),
        ("GET", "/workflows/w", 404, "WORKFLOW_NOT_FOUND"),
    ],
)
def test_every_error_has_the_same_format(gateway: Gateway, method: str, path: str, status: int, code: str) -> None:
    """Errors have the same format on every path."""
    assert_error(gateway.admin.send(method, path), status, code)
    assert_error(gateway.anonymous.send(method, path), 401, "AUTH_FAILED")


@pytest.mark.parametrize("job_id", ["x", JOB.upper(), "x" * 3000, "%00", "..", "JOB%23" + JOB, "é", "'\"<>"])
def test_an_invalid_job_id_is_404(gateway: Gateway, job_id: str) -> None:
    """Any text that is not a job id is 404."""
    for path in (f"/jobs/{job_id}", f"/outputs/{job_id}", f"/outputs/{job_id}/a.png"):
        response = gateway.admin.get(path)
        assert_error(response, 404, response.json["error"])
        assert response.json["error"] in ("JOB_NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize("failure", [RuntimeError, KeyError, GatewayError, OSError, RecursionError])
def test_an_unexpected_exception_is_not_exposed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    """An unexpected exception is a retryable 500 without internal details."""

    def broken(_job_id: str) -> None:
        raise failure("arn:aws:dynamodb:secret-table")

    assert gateway.ada.get(f"/jobs/{JOB}").status == 404
    monkeypatch.setattr(gateway.wiring.jobs, "get", broken)
    for path in (f"/jobs/{JOB}", f"/outputs/{JOB}", f"/outputs/{JOB}/a.png"):
        response = gateway.ada.get(path)
        assert_error(response, 500, "INTERNAL_ERROR")
        text = response.body.decode()
        assert not [word for word in ("secret", "Traceback", failure.__name__, ".py") if word in text]


def test_a_failure_during_authentication_is_not_exposed(aws_gateway: AwsGateway, aws: dict[str, str]) -> None:
    """If keys cannot be read, the response is 500, and the caller gets no access."""
    aws_gateway.clients.dynamodb.delete_table(TableName=aws["TABLE_NAME"])
    response = aws_gateway.anonymous.get("/workflows", {"X-API-Key": "k"})
    assert_error(response, 500, "INTERNAL_ERROR")
    assert "ResourceNotFound" not in response.body.decode()


@pytest.mark.parametrize("given", ["a", "req-1.2:3_4", "9789a3ef-e449-4c04-aeb3-c26dcd68bcad", "x" * 128])
def test_a_valid_correlation_id_is_returned(gateway: Gateway, given: str) -> None:
    """A valid id of the caller is returned, on success and on errors."""
    for path in ("/health", "/nothing", "/workflows", "/jobs"):
        response = gateway.ada.get(path, {"x-correlation-id": given})
        assert response.headers["x-correlation-id"] == given


@pytest.mark.parametrize("given", ["", " ", "x" * 129, "a b", "a\nSet-Cookie: b", "<script>", "é", "-a", '{"a"}'])
def test_an_invalid_correlation_id_is_replaced(gateway: Gateway, given: str) -> None:
    """An id that could break a log or a header is replaced with a new one."""
    ids = [
        gateway.anonymous.get(path, {"X-Correlation-Id": given}).headers["x-correlation-id"]
        for path in ("/health", "/")
    ]
    assert ids[0] != ids[1]
    assert all(str(uuid.UUID(each)) == each for each in ids)


def test_a_missing_correlation_id_is_generated(gateway: Gateway) -> None:
    """Without an id in the request, each response has a new one."""
    ids = [gateway.ada.get("/workflows").headers["x-correlation-id"] for _ in range(3)]
    assert len({uuid.UUID(each) for each in ids}) == 3


def test_log_lines_have_the_correlation_id(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log lines of a request have its id; the exception is in the log only."""
    log = io.StringIO()
    monkeypatch.setattr(api_logger.registered_handler, "stream", log)
    monkeypatch.setattr(gateway.wiring.workflows, "heads", lambda: 1 / 0)
    gateway.anonymous.get("/workflows", {"X-Correlation-Id": "find-1"})
    gateway.ada.get("/workflows", {"X-Correlation-Id": "find-2"})
    rejected, failed = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (rejected["correlation_id"], rejected["action"]) == ("find-1", "request_refused")
    assert (failed["correlation_id"], failed["action"]) == ("find-2", "request_failed")
    assert "ZeroDivisionError" in failed["exception"]


def test_401_and_429_responses_are_metrics(
    aws: dict[str, str], aws_clients: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only 401 and 429 responses write a metric."""
    gateway = Gateway.on_aws(aws, aws_clients, RATE_LIMIT_MAX="4")
    statuses = [gateway.ada.get(path).status for path in ("/workflows", "/nothing", "/audit", "/jobs?limit=x")]
    assert statuses == [200, 404, 403, 400]
    assert capsys.readouterr().out == ""
    assert gateway.ada.get("/workflows").status == 429
    assert [gateway.anonymous.get("/jobs", headers).status for headers in ({}, {"X-API-Key": "wrong"})] == [401, 401]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines]
    assert metrics == ["RequestsRateLimited", "RequestsUnauthorized", "RequestsUnauthorized"]
    assert [line[metric] for line, metric in zip(lines, metrics, strict=True)] == [1, 1, 1]
