"""Responses: JSON bodies, and the one shape that every error has."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.http.request import Request
    from gateway.errors import RequestError


def to_json(value: object) -> str:
    """Serialize a body as it is sent."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def json_response(status: HTTPStatus, body: Mapping[str, object]) -> Response[str]:
    """Make a response with a JSON body."""
    return Response(status_code=status, content_type="application/json", body=to_json(body))


def error_body(
    code: str, message: str, details: Mapping[str, Any] | None, *, retryable: bool, correlation_id: str
) -> dict[str, object]:
    """Make the body that every error has."""
    return {
        "error": code,
        "message": message,
        "details": details,
        "retryable": retryable,
        "correlationId": correlation_id,
    }


def request_error_response(request: Request, error: RequestError) -> Response[str]:
    """Make the response to a request that cannot be carried out."""
    body = error_body(
        error.code,
        error.message,
        error.details,
        retryable=error.retryable,
        correlation_id=request.correlation_id,
    )
    return json_response(HTTPStatus(error.status), body)


def internal_error_response(request: Request) -> Response[str]:
    """Make the response to a request that failed on our side; the log has the reason."""
    message = "An internal error occurred. Try again; if it persists, report the correlation id."
    body = error_body("INTERNAL_ERROR", message, None, retryable=True, correlation_id=request.correlation_id)
    return json_response(HTTPStatus.INTERNAL_SERVER_ERROR, body)
