"""Verify the JWT in `Authorization: Bearer`.

HS256 and nothing else, with the claims `sub` (the owner), `role` and `exp`. RFC 7519, https://pyjwt.readthedocs.io.

The issuer chooses owners freely, in the same namespace as the owners of API keys: a token with the `sub` "ada" sees
the jobs of a key whose owner is "ada". So the issuer must use subjects that are no key's owner, unless both are meant
to be the same caller.
"""

from __future__ import annotations

from gateway.domain.principal import Principal, Role
from gateway.errors import CredentialsRejectedError
from gateway.limits import MAX_SUBJECT_CHARACTERS, MAX_TOKEN_CHARACTERS


class JwtVerifier:
    """Verifies tokens. `secret`: the issuer's signing key, at least 32 bytes (RFC 7518, 3.2)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def principal(self, token: str) -> Principal:
        """Return the caller that a token names. Raises CredentialsRejectedError for any token that is not valid."""
        import jwt  # noqa: PLC0415  a cold start pays for it only when a token is sent

        if len(token) > MAX_TOKEN_CHARACTERS:
            raise CredentialsRejectedError("Invalid JWT token")
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub", "role"]})
        except jwt.ExpiredSignatureError:
            raise CredentialsRejectedError("JWT token has expired") from None
        except jwt.MissingRequiredClaimError as error:  # known only after the signature was verified
            raise CredentialsRejectedError(f"Invalid JWT token: the claim {error.claim} is missing") from None
        except (jwt.PyJWTError, ValueError):  # ValueError: characters that have no UTF-8
            raise CredentialsRejectedError("Invalid JWT token") from None
        return Principal(owner=_owner(claims["sub"]), role=_role(claims["role"]))


def _owner(subject: str) -> str:
    if not subject.strip() or len(subject) > MAX_SUBJECT_CHARACTERS or not subject.isprintable():
        raise CredentialsRejectedError(
            f"Invalid JWT token: sub must be 1 to {MAX_SUBJECT_CHARACTERS} printable characters"
        )
    return subject


def _role(role: object) -> Role:
    try:
        return Role(str(role))
    except ValueError:
        raise CredentialsRejectedError(f"Invalid JWT token: role must be {' or '.join(Role)}") from None
