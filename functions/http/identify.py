"""Middleware that authenticates every request and applies the rate limit, whatever the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import CredentialsRejectedError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.event_handler import Response

    from functions.http.auth import Authenticator
    from functions.http.rate_limit import RateLimiter
    from functions.http.request import Request
    from functions.http.router import Middleware


def identify_and_limit(authenticator: Authenticator, limiter: RateLimiter | None) -> Middleware:
    """Make the middleware. `limiter` is None when requests are not counted.

    Bad credentials are only noted: whether a route requires good ones is its own declaration (see Authenticator).
    """

    def identify(request: Request, respond: Callable[[], Response[str]]) -> Response[str]:
        if request.is_options:
            return respond()
        if limiter:
            request.response_headers.update(limiter.uncounted().headers)  # in case the next lines fail
        subject = None
        try:
            if caller := authenticator.identify(request.event):
                request.principal, subject = caller.principal, caller.rate_limit_subject
        except CredentialsRejectedError as error:
            request.rejection = error
        if limiter:
            # Only the address that API Gateway reports counts: headers are written by the client.
            address = f"IP#{request.event.request_context.identity.source_ip}"
            allowance = limiter.count(subject or address)
            request.response_headers.update(allowance.headers)
            if allowance.exceeded:
                raise RateLimitedError(allowance.limit, allowance.window_seconds, allowance.retry_seconds)
        return respond()

    return identify
