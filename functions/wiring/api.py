"""The composition root of the functions that answer requests."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from functions import metrics
from functions.http import router
from functions.http.admission import Admission
from functions.http.auth import Authenticator
from functions.http.cors import Cors
from functions.http.jwt_auth import JwtVerifier
from functions.http.rate_limit import RateLimiter
from functions.wiring.entry import wired_once
from functions.wiring.webhooks import WebhookWiring
from gateway.redacting_log import allow_exception_messages
from gateway.settings import ApiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from gateway.aws.dynamodb.audit_log import DynamoAuditLog
    from gateway.ports import ApiKeyStore

    Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]


class ApiWiring(WebhookWiring):
    """What the handlers are made of. The AWS modules are imported where they are needed: cold starts pay for each."""

    settings: ApiSettings

    @cached_property
    def audit(self) -> DynamoAuditLog:
        """The audit log; as it is and not as its port, since the workflows write their entries into it themselves."""
        from gateway.aws.dynamodb.audit_log import DynamoAuditLog  # noqa: PLC0415  see the class

        return DynamoAuditLog(self._clients.dynamodb, self.settings.table_name, self.settings.retention_days)

    @cached_property
    def authenticator(self) -> Authenticator:
        """Finds callers."""
        secret = self.settings.jwt_secret
        tokens = JwtVerifier(secret.get_secret_value()) if secret else None
        return Authenticator(self._keys, tokens=tokens, open_access=self.settings.open_access)

    @cached_property
    def middlewares(self) -> Sequence[Callable[..., Response[str]]]:
        """What every request passes before its route."""
        cors = Cors(self.settings.cors_origins)
        return (self._set_discretion, cors.middleware, Admission(self.authenticator, self.limiter).middleware)

    def _set_discretion(self, app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[str]:
        allow_exception_messages(allowed=not self.settings.privacy_mode)
        return next_middleware(app)

    @property
    def limiter(self) -> RateLimiter | None:
        """Counts requests; None when they are not counted."""
        if not self.settings.rate_limit_max:
            return None
        from gateway.aws.dynamodb.rate_limit_store import DynamoRateLimitStore  # noqa: PLC0415  see the class

        store = DynamoRateLimitStore(self._clients.dynamodb, self.settings.table_name)
        limit, window_ms = self.settings.rate_limit_max, self.settings.rate_limit_window_ms
        return RateLimiter(store, limit=limit, window_ms=window_ms)

    @cached_property
    def _keys(self) -> ApiKeyStore:
        from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore  # noqa: PLC0415  see the class

        return DynamoApiKeyStore(self._clients.dynamodb, self.settings.table_name)


_ApiWiring = TypeVar("_ApiWiring", bound=ApiWiring)


def entry_point(make_handler: Callable[[_ApiWiring], Handler], wiring: type[_ApiWiring]) -> Handler:
    """Make the function that Lambda calls. `wiring`: which it is made of."""

    def wire(environment: Mapping[str, str]) -> Handler:
        settings = ApiSettings.from_environment(environment)
        router.logger.setLevel(settings.log_level)
        metrics.use_namespace(settings.metrics_namespace)
        return make_handler(wiring(settings))

    return wired_once(wire)
