"""What every request goes through before its route, whatever its path: its caller is found out, and it is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.http import router
from gateway.errors import CredentialsRejectedError, RateLimitedError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware

    from functions.http.auth import Authenticator
    from functions.http.rate_limit import RateLimiter


class Admission:
    """Identifies and counts. `limiter` is None when requests are not counted."""

    def __init__(self, authenticator: Authenticator, limiter: RateLimiter | None) -> None:
        self._authenticator = authenticator
        self._limiter = limiter

    def middleware(self, app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[str]:
        """Remember the caller for the routes; refuse a request too many.

        Bad credentials are not refused here but by what asks for good ones: see functions.http.auth.
        """
        if router.is_options(app):
            return next_middleware(app)
        if self._limiter:
            router.add_headers(app, self._limiter.unknown().headers)  # for the case that the next lines fail
        caller, rejection = None, None
        try:
            caller = self._authenticator.identify(app.current_event)
        except CredentialsRejectedError as error:
            rejection = error
        router.remember(app, caller=caller, rejection=rejection)
        if self._limiter:
            # Only API Gateway's own word on the address counts: a header is the client's to write.
            address = f"IP#{app.current_event.request_context.identity.source_ip}"
            allowance = self._limiter.count((caller and caller.counted_as) or address)
            router.add_headers(app, allowance.headers)
            if allowance.exceeded:
                raise RateLimitedError(allowance.limit, allowance.window_seconds, allowance.retry_seconds)
        return next_middleware(app)
