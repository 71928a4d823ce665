"""The router of a function: built from its route declarations, on Powertools' resolver.

    event ─▶ middlewares ─▶ authentication ─┬─ route ─▶ access check ─▶ operation ─▶ response
                                            ├─ path without this method ─▶ 405, or 204 for OPTIONS
                                            └─ unknown path ─▶ 404

Every error gets the same shape, and every response the headers that middlewares have set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from functions import metrics
from functions.http.correlation import correlation_id_for
from functions.http.request import Request
from functions.http.responses import internal_error_response, request_error_response, to_json
from functions.http.routes import Access
from functions.logs import api_logger
from functions.metrics import Metric
from gateway.errors import (
    CredentialsRejectedError,
    MethodNotAllowedError,
    PathNotFoundError,
    RateLimitedError,
    RequestError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.http.auth import Authenticator
    from functions.http.routes import Route

# Takes the request, and the path's parameters by name: `{jobId}` as `job_id`.
Operation = Callable[..., Response[Any]]
Operations = Mapping[str, Operation]
# Calls the second argument for the response, or makes one itself.
Middleware = Callable[[Request, Callable[[], Response[Any]]], Response[Any]]

_COUNTED_ERRORS: Mapping[type[RequestError], Metric] = {
    CredentialsRejectedError: Metric.REQUESTS_UNAUTHORIZED,
    RateLimitedError: Metric.REQUESTS_RATE_LIMITED,
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


class Router:
    """Serves the requests of one function.

    `routes`: all that it serves; `operations`: what runs for each, by operation id. Raises ValueError unless each
    route has its operation and each operation its route.
    `middlewares`: what each request passes before its route, in this order, also when there is no such route.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        operations: Operations,
        authenticator: Authenticator,
        middlewares: Sequence[Middleware],
    ) -> None:
        if mismatched := {route.operation_id for route in routes} ^ operations.keys():
            raise ValueError(f"Declared without a handler, or handled without a declaration: {sorted(mismatched)}")
        self._authenticator = authenticator
        # Without debug=False an environment variable of Powertools could have it print whole requests.
        self._app = APIGatewayRestResolver(serializer=to_json, debug=False)
        self._app.exception_handler(RequestError)(self._refuse)
        self._app.exception_handler(Exception)(self._fail)
        self._app.not_found(self._unknown_path)
        open_to_anyone = (Access.ANYONE, Access.ANYONE_MORE_FOR_CALLERS)
        requires_caller = all(route.access not in open_to_anyone for route in routes)
        self._app.use(
            [self._adapt(each) for each in (*middlewares, *([self._authenticated_only] if requires_caller else []))]
        )
        methods: dict[str, list[str]] = defaultdict(list)
        for route in routes:
            self._add(route, operations[route.operation_id])
            methods[route.path].append(route.method)
        for path, allowed in methods.items():
            self._refuse_other_methods(path, [method for method in _METHODS if method in allowed])

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Serve one request of API Gateway."""
        request = Request(self._app, correlation_id_for((event.get("headers") or {}).items()))
        api_logger.set_correlation_id(request.correlation_id)
        self._app.append_context(request=request)  # type: ignore[no-untyped-call]  # Powertools leaves it unannotated
        response = self._app.resolve(event, context)
        headers = response["multiValueHeaders"]
        headers.update({name: [value] for name, value in request.response_headers.items()})
        # Responses are one caller's. A cache in front of the gateway does not know that X-API-Key tells callers apart.
        headers.setdefault("Cache-Control", ["private, no-store"])
        return response

    @property
    def _request(self) -> Request:
        """The request that is being served."""
        request: Request = self._app.context["request"]
        return request

    def _add(self, route: Route, operation: Operation) -> None:
        segments = route.path.split("/")
        greedy = _PARAMETER.fullmatch(segments[-1])
        greedy_name = _argument(greedy[1]) if greedy and greedy[2] else None

        def respond(**parameters: str) -> Response[Any]:
            request = self._request
            self._authenticator.authorize(request, route)
            if greedy_name:
                # Everything behind the other segments, slashes included.
                depth = len(segments) - 1
                parameters[greedy_name] = request.event.path.split("/", depth)[depth]
            return operation(request, **parameters)

        self._app.route(_rule(route.path), method=route.method)(respond)

    def _refuse_other_methods(self, path: str, allowed: Sequence[str]) -> None:
        """Respond with 405 to other methods of a path, and to OPTIONS with the methods that the path has."""
        headers = {"Allow": ", ".join(allowed)}

        def refuse(**_parameters: str) -> Response[Any]:
            if self._request.is_options:
                return Response(HTTPStatus.NO_CONTENT, headers=headers)
            self._request.response_headers.update(headers)
            raise MethodNotAllowedError(f"Method not allowed here; use {' or '.join(allowed)}.")

        self._app.route(_rule(path), method=[method for method in _METHODS if method not in allowed])(refuse)

    def _authenticated_only(self, request: Request, respond: Callable[[], Response[Any]]) -> Response[Any]:
        """Require a caller for any path and method, so that unauthenticated callers cannot discover paths."""
        if not request.is_options:
            self._authenticator.require_caller(request)
        return respond()

    def _adapt(self, middleware: Middleware) -> Callable[..., Response[Any]]:
        """Make a middleware of Powertools.

        It has to be a function: Powertools caches what it inspects as an attribute, which a method cannot have.
        Inspecting again in each request took a thirtieth of the time of GET /jobs/{jobId}.
        """

        def call(app: APIGatewayRestResolver, next_middleware: Callable[..., Response[Any]]) -> Response[Any]:
            return middleware(self._request, lambda: next_middleware(app))

        return call

    def _refuse(self, error: RequestError) -> Response[str]:
        # Not the message: it can quote what the caller sent.
        api_logger.info("request refused", action="request_refused", error=error.code, status=error.status)
        if metric := _COUNTED_ERRORS.get(type(error)):
            metrics.emit({metric: 1})
        return request_error_response(self._request, error)

    def _fail(self, error: Exception) -> Response[str]:
        api_logger.error("request failed", action="request_failed", exc_info=error)
        return internal_error_response(self._request)

    def _unknown_path(self, _error: Exception) -> Response[str]:
        return request_error_response(self._request, PathNotFoundError("There is nothing at this path."))


def _rule(path: str) -> str:
    """Write a declared path as a rule of Powertools: `/jobs/<job_id>`."""
    return _PARAMETER.sub(lambda found: ".+" if found[2] else f"<{_argument(found[1])}>", path)


def _argument(parameter: str) -> str:
    """Return the name by which an operation gets a path parameter: `jobId` as `job_id`."""
    return re.sub(r"(?=[A-Z])", "_", parameter).lower()
