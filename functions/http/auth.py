"""Who is calling: the API key in `X-API-Key`, or else the JWT in `Authorization: Bearer`.

Nothing here compares a secret in a time that tells of it: a key is looked up by its hash (see hash_key), and a JWT's
signature is compared by hmac.compare_digest. With neither keys nor a JWT secret nobody gets in: `open_access` has to
be said.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.http import router
from gateway.domain import timestamps
from gateway.domain.principal import ApiKey, Principal, Role, hash_key
from gateway.errors import CredentialsRejectedError, RoleForbiddenError
from gateway.limits import MAX_API_KEY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
    from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

    from functions.http.jwt_auth import JwtVerifier
    from gateway.ports import ApiKeyStore

# A revoked key must stop working within a minute, on functions that know it already too.
_KEPT_SECONDS = 30
_MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that is signed in. `counted_as`: whose requests its rate limit counts; None where that is an address."""

    principal: Principal
    counted_as: str | None


class Authenticator:
    """Finds the caller of a request.

    `tokens` is None when no JWT is taken. `open_access`: every caller is an admin, as in local mode without keys.
    """

    def __init__(
        self,
        keys: ApiKeyStore,
        *,
        tokens: JwtVerifier | None = None,
        open_access: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._open_access = open_access
        self._clock = clock
        self._kept: dict[str, tuple[ApiKey, float]] = {}

    def identify(self, event: APIGatewayProxyEvent) -> Caller | None:
        """Return the caller, or None when it shows no credentials. Raises CredentialsRejectedError for bad ones.

        Of a key and a token the key decides: a bad key is not made good by a token.
        """
        if self._open_access:
            return Caller(Principal(owner="local", role=Role.ADMIN), counted_as=None)
        if key := event.headers.get("X-API-Key"):
            return self._caller_of_key(key)
        scheme, _, token = (event.headers.get("Authorization") or "").strip().partition(" ")
        if self._tokens and scheme.lower() == "bearer":
            principal = self._tokens.principal(token.strip())
            return Caller(principal, counted_as=f"JWT#{principal.owner}")
        return None

    def _caller_of_key(self, key: str) -> Caller:
        record = self._record(hash_key(key)) if len(key) <= MAX_API_KEY_CHARACTERS else None
        if record is None or not record.usable(timestamps.now()):
            raise CredentialsRejectedError("Invalid API key")
        return Caller(record.principal, counted_as=f"KEY#{record.sha256}")

    def _record(self, sha256: str) -> ApiKey | None:
        kept = self._kept.get(sha256)
        if kept and self._clock() < kept[1]:
            return kept[0]
        self._kept.pop(sha256, None)
        record = self._keys.get(sha256)
        if record is not None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            self._kept[sha256] = (record, self._clock() + _KEPT_SECONDS)
        return record

    def signed_in_only(self, app: APIGatewayRestResolver, next_middleware: NextMiddleware) -> Response[str]:
        """Let nobody through who is not signed in. Raises CredentialsRejectedError."""
        if not router.is_options(app) and not signed_in(app):
            or_token = ", or a JWT as Authorization: Bearer" if self._tokens else ""
            raise CredentialsRejectedError(
                f"Authentication required. Send your API key in the header X-API-Key{or_token}."
            )
        return next_middleware(app)


def signed_in(app: APIGatewayRestResolver) -> bool:
    """Tell whether the caller is signed in. Raises CredentialsRejectedError when it tried with bad credentials."""
    if app.context["rejection"]:
        raise app.context["rejection"]
    return app.context["caller"] is not None


def caller_of(app: APIGatewayRestResolver) -> Principal:
    """Return the signed-in caller of the request being answered."""
    caller: Caller = app.context["caller"]
    return caller.principal


def require_admin(app: APIGatewayRestResolver, what: str) -> None:
    """Let only admins through. `what`: the thing they may do, for the message. Raises RoleForbiddenError."""
    if caller_of(app).role is not Role.ADMIN:
        raise RoleForbiddenError(f"Admin role required to {what}.")
