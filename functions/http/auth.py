"""Authenticate callers: the API key in `X-API-Key`, or else the JWT in `Authorization: Bearer`.

No secret is compared in a time that depends on it: a key is looked up by its hash (see hash_key), and a JWT's
signature is compared by hmac.compare_digest. With neither keys nor a JWT secret nobody has access: `open_access` has
to be set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.http.routes import Access
from gateway.domain.principal import ApiKey, Principal, Role, hash_key, is_minted
from gateway.errors import CredentialsRejectedError, RoleForbiddenError
from gateway.limits import MAX_API_KEY_CHARACTERS

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

    from functions.http.jwt_auth import JwtVerifier
    from functions.http.request import Request
    from functions.http.routes import Route
    from gateway.ports import ApiKeyStore, Clock

# A revoked key must stop working within a minute, also on functions that have it in their cache.
_CACHE_SECONDS = 30
_MAX_CACHED_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `rate_limit_subject`: whose requests are counted; None: those of its address."""

    principal: Principal
    rate_limit_subject: str | None


class Authenticator:
    """Authenticates requests, and checks who may use a route.

    `tokens` is None when no JWT is accepted. `open_access`: every caller is an admin, as in local mode without keys.
    `chosen_keys`: keys can have any form, as those that a person chooses for local mode.
    """

    def __init__(
        self,
        keys: ApiKeyStore,
        clock: Clock,
        *,
        tokens: JwtVerifier | None = None,
        open_access: bool,
        chosen_keys: bool = False,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._tokens = tokens
        self._open_access = open_access
        self._chosen_keys = chosen_keys
        self._cached_keys: dict[str, tuple[ApiKey, float]] = {}

    def identify(self, event: APIGatewayProxyEvent) -> Caller | None:
        """Return the caller, or None when it sent no credentials. Raises CredentialsRejectedError for bad ones.

        With a key and a token the key decides: a token does not make a bad key good.
        """
        if self._open_access:
            return Caller(Principal(owner="local", role=Role.ADMIN), rate_limit_subject=None)
        if key := event.headers.get("X-API-Key"):
            return self._caller_of_key(key)
        scheme, _, token = (event.headers.get("Authorization") or "").strip().partition(" ")
        if self._tokens and scheme.lower() == "bearer":
            principal = self._tokens.principal(token.strip())
            return Caller(principal, rate_limit_subject=f"JWT#{principal.owner}")
        return None

    def authorize(self, request: Request, route: Route) -> None:
        """Raise CredentialsRejectedError or RoleForbiddenError unless the caller may use this route."""
        match route.access:
            case Access.ANYONE:
                pass
            case Access.ANYONE_MORE_FOR_CALLERS:
                if request.rejection:
                    raise request.rejection
            case Access.AUTHENTICATED:
                self.require_caller(request)
            case Access.ADMIN:
                if self.require_caller(request).role is not Role.ADMIN:
                    summary = route.summary[0].lower() + route.summary[1:]
                    raise RoleForbiddenError(f"Admin role required to {summary}.")

    def require_caller(self, request: Request) -> Principal:
        """Return the authenticated caller. Raises CredentialsRejectedError when there is none."""
        if request.rejection:
            raise request.rejection
        if request.principal is None:
            or_token = ", or a JWT as Authorization: Bearer" if self._tokens else ""
            raise CredentialsRejectedError(
                f"Authentication required. Send your API key in the header X-API-Key{or_token}."
            )
        return request.principal

    def _caller_of_key(self, key: str) -> Caller:
        possible = is_minted(key) or (self._chosen_keys and len(key) <= MAX_API_KEY_CHARACTERS)
        record = self._record(hash_key(key)) if possible else None
        if record is None or not record.usable(self._clock.now()):
            raise CredentialsRejectedError("Invalid API key")
        return Caller(record.principal, rate_limit_subject=f"KEY#{record.sha256}")

    def _record(self, sha256: str) -> ApiKey | None:
        cached = self._cached_keys.get(sha256)
        if cached and self._clock.monotonic() < cached[1]:
            return cached[0]
        self._cached_keys.pop(sha256, None)
        record = self._keys.get(sha256)
        if record is not None:
            if len(self._cached_keys) >= _MAX_CACHED_KEYS:
                self._cached_keys.clear()
            self._cached_keys[sha256] = (record, self._clock.monotonic() + _CACHE_SECONDS)
        return record
