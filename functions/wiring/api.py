"""The composition root of the functions that serve requests."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from functions import metrics
from functions.http.auth import Authenticator
from functions.http.cors import allow_origins
from functions.http.identify import identify_and_limit
from functions.http.jwt_auth import JwtVerifier
from functions.http.rate_limit import RateLimiter
from functions.http.router import Router
from functions.logs import api_logger
from functions.wiring.base import BaseWiring
from functions.wiring.entry import EntryPoint
from gateway.redacting_log import allow_exception_messages
from gateway.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.event_handler import Response

    from functions.http.request import Request
    from functions.http.router import Middleware, Operations
    from functions.http.routes import Route
    from functions.wiring.entry import Handler
    from gateway.aws.dynamodb.audit_log import DynamoAuditLog
    from gateway.ports import ApiKeyStore, RateLimitStore


class ApiWiring(BaseWiring):
    """The parts that handlers are made of; see BaseWiring."""

    settings: ApiSettings

    @cached_property
    def audit(self) -> DynamoAuditLog:
        """The audit log; not as its port, because the workflow store writes its entries together with the change."""
        from gateway.aws.dynamodb.audit_log import DynamoAuditLog  # noqa: PLC0415  see the class

        return DynamoAuditLog(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def authenticator(self) -> Authenticator:
        """Authenticates callers."""
        secret = self.settings.jwt_secret
        tokens = JwtVerifier(secret.get_secret_value()) if secret else None
        return Authenticator(
            self._keys,
            self.clock,
            tokens=tokens,
            open_access=self.settings.open_access,
            chosen_keys=self.settings.chosen_keys,
        )

    @cached_property
    def middlewares(self) -> Sequence[Middleware]:
        """What every request passes before its route."""
        return (
            self._allow_exception_messages,
            *self._local_middlewares,
            allow_origins(self.settings.cors_origins),
            identify_and_limit(self.authenticator, self.limiter),
        )

    @property
    def _local_middlewares(self) -> Sequence[Middleware]:
        middlewares: list[Middleware] = []
        if self.settings.file_url_secret is not None:
            from functions.http.base_url import note_base_url  # noqa: PLC0415  see BaseWiring

            middlewares.append(note_base_url)
        if self.settings.open_access:
            from functions.http.open_access import refuse_foreign_pages  # noqa: PLC0415  see BaseWiring

            middlewares.append(refuse_foreign_pages(self.settings.cors_origins))
        return middlewares

    def _allow_exception_messages(self, _request: Request, respond: Callable[[], Response[Any]]) -> Response[Any]:
        allow_exception_messages(allowed=not self.settings.privacy_mode)
        return respond()

    @property
    def limiter(self) -> RateLimiter | None:
        """Counts requests; None when the rate limit is off."""
        if not self.settings.rate_limit_max:
            return None
        limit, window_ms = self.settings.rate_limit_max, self.settings.rate_limit_window_ms
        return RateLimiter(self._rates, self.clock, limit=limit, window_ms=window_ms)

    @cached_property
    def _rates(self) -> RateLimitStore:
        from gateway.aws.dynamodb.rate_limit_store import DynamoRateLimitStore  # noqa: PLC0415  see BaseWiring

        return DynamoRateLimitStore(self._clients.dynamodb, self.settings.table_name)

    @cached_property
    def _keys(self) -> ApiKeyStore:
        from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore  # noqa: PLC0415  see BaseWiring

        return DynamoApiKeyStore(self._clients.dynamodb, self.settings.table_name)


_ApiWiring = TypeVar("_ApiWiring", bound=ApiWiring)


def entry_point(
    function: str,
    routes: Sequence[Route],
    operations: Callable[[_ApiWiring], Operations],
    wiring: type[_ApiWiring],
) -> EntryPoint[_ApiWiring]:
    """Make the entry point of a function that serves requests.

    `routes`: the table of its surface, of which it serves those that name it; `operations` makes their handlers.
    """

    def wire(environment: Mapping[str, str]) -> _ApiWiring:
        settings = ApiSettings.from_environment(environment)
        api_logger.setLevel(settings.log_level)
        metrics.use_namespace(settings.metrics_namespace)
        return wiring(settings)

    def make_handler(wired: _ApiWiring) -> Handler:
        own_routes = [route for route in routes if route.function == function]
        return Router(own_routes, operations(wired), wired.authenticator, wired.middlewares)

    return EntryPoint(wire, make_handler)
