"""HTTP for every function: one resolver set up one way, one shape for every error, the same headers on every answer."""

from __future__ import annotations

import json
import re
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.logging import Logger

from functions import metrics
from functions.metrics import Metric
from gateway.errors import (
    CredentialsRejectedError,
    MethodNotAllowedError,
    PathNotFoundError,
    RateLimitedError,
    RequestError,
)
from gateway.limits import MAX_CORRELATION_ID_CHARACTERS
from gateway.redacting_log import RedactingFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

CORRELATION_HEADER = "X-Correlation-Id"
_SANE_CORRELATION_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MAX_CORRELATION_ID_CHARACTERS - 1}}}")
_COUNTED_REFUSALS: Mapping[type[RequestError], Metric] = {
    CredentialsRejectedError: Metric.REQUESTS_UNAUTHORIZED,
    RateLimitedError: Metric.REQUESTS_RATE_LIMITED,
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# The level comes with the settings. Without one here Powertools would read the variable itself, and tell a wrong one.
logger = Logger(
    service="api", level="INFO", log_uncaught_exceptions=False, location=None, logger_formatter=RedactingFormatter()
)


def make_app(middlewares: Sequence[Callable[..., Response[str]]]) -> APIGatewayRestResolver:
    """Make a resolver that answers every error in the contract's shape.

    `middlewares`: what each request passes before its route, in this order, also when there is no such route.
    """
    # Otherwise a variable of Powertools' own could have it print whole requests.
    app = APIGatewayRestResolver(serializer=to_json, debug=False)
    app.use([_as_function(middleware) for middleware in middlewares])

    def refused(error: RequestError) -> Response[str]:
        # Not the message: it can quote what the caller sent.
        logger.info("request refused", action="request_refused", error=error.code, status=error.status)
        if metric := _COUNTED_REFUSALS.get(type(error)):
            metrics.emit({metric: 1})
        return _error_answer(app, error.status, error.code, error.message, error.details, retryable=error.retryable)

    def broken(error: Exception) -> Response[str]:
        logger.error("request failed", action="request_failed", exc_info=error)
        message = "Something went wrong on our side. Try again; if it stays, report the correlation id."
        return _error_answer(
            app, HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message, details=None, retryable=True
        )

    @app.not_found
    def unknown_path(_error: Exception) -> Response[str]:
        error = PathNotFoundError("There is nothing at this path.")
        return _error_answer(app, error.status, error.code, error.message, error.details)

    app.exception_handler(RequestError)(refused)
    app.exception_handler(Exception)(broken)
    return app


def _as_function(middleware: Callable[..., Response[str]]) -> Callable[..., Response[str]]:
    """Wrap a middleware: Powertools keeps what it finds out about one on it, and a method has no place for that.

    It would be found out again in each request, which took a thirtieth of a status's time.
    """

    def call(app: APIGatewayRestResolver, next_middleware: Callable[..., Response[str]]) -> Response[str]:
        return middleware(app, next_middleware)

    return call


def remember(app: APIGatewayRestResolver, **facts: object) -> None:
    """Keep facts for the rest of this request, in `app.context`."""
    app.append_context(**facts)  # type: ignore[no-untyped-call]  # Powertools leaves it unannotated


def add_headers(app: APIGatewayRestResolver, headers: Mapping[str, str]) -> None:
    """Put headers on the answer to this request, whichever it will be, an error included."""
    app.context["answer_headers"].update(headers)


def is_options(app: APIGatewayRestResolver) -> bool:
    """Tell whether only the path's methods are asked for, as browsers do before the request itself (preflight).

    Such a request carries no credentials, and its answer comes from the table of routes: it is free.
    """
    return bool(app.current_event.http_method.upper() == "OPTIONS")


def refuse_other_methods(app: APIGatewayRestResolver, allowed: Mapping[str, tuple[str, ...]]) -> None:
    """Answer 405 where a path exists, but not for the method, and OPTIONS with the methods that it exists for.

    `allowed`: path rule → methods that have a route.
    """
    for rule, methods in allowed.items():

        def refuse(methods: tuple[str, ...] = methods, **_path: str) -> Response[str]:
            headers = {"Allow": ", ".join(methods)}
            if is_options(app):
                return Response(HTTPStatus.NO_CONTENT, headers=headers)
            add_headers(app, headers)
            raise MethodNotAllowedError(f"Not allowed here; try {' or '.join(methods)}.")

        app.route(rule, method=[method for method in _METHODS if method not in methods])(refuse)


def serve(app: APIGatewayRestResolver, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request: take over or make its correlation id, resolve it, put all added headers on the answer."""
    correlation_id = correlation_id_for((event.get("headers") or {}).items())
    logger.set_correlation_id(correlation_id)
    headers = {CORRELATION_HEADER: correlation_id}
    remember(app, correlation_id=correlation_id, answer_headers=headers)
    answer = app.resolve(event, context)
    answer["multiValueHeaders"].update({name: [value] for name, value in headers.items()})
    return answer


def correlation_id_for(headers: Iterable[tuple[str, str]]) -> str:
    """Take over the correlation id that the caller sent when it is a sane one; else make one."""
    given = next((value for name, value in headers if name.lower() == CORRELATION_HEADER.lower()), "")
    return given if _SANE_CORRELATION_ID.fullmatch(given or "") else str(uuid.uuid4())


def correlation_id_of(app: APIGatewayRestResolver) -> str:
    """Return the correlation id of the request being answered."""
    return str(app.context["correlation_id"])


def json_response(status: HTTPStatus, body: Mapping[str, object]) -> Response[str]:
    """Make an answer with a JSON body."""
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


def _error_answer(  # noqa: PLR0913  the fields of the contract's one error shape
    app: APIGatewayRestResolver,
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any] | None,
    *,
    retryable: bool = False,
) -> Response[str]:
    body = error_body(code, message, details, retryable=retryable, correlation_id=correlation_id_of(app))
    return json_response(HTTPStatus(status), body)


def to_json(value: object) -> str:
    """Write a body as it is sent."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
