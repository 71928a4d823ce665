"""Who is calling: the JWT in `Authorization: Bearer`.

HS256 and nothing else, with the claims `sub` (the owner), `role` and `exp`. RFC 7519, https://pyjwt.readthedocs.io.

Whoever has the secret names owners freely, in the one namespace that API keys' owners are in too: a token with the
`sub` "ada" sees the jobs of a key whose owner is "ada". So that nobody becomes somebody else, let the issuer use
subjects that no key has been given as its owner, unless the two are meant to be one.
"""

from __future__ import annotations

from gateway.domain.principal import Principal, Role
from gateway.errors import CredentialsRejectedError
from gateway.limits import MAX_SUBJECT_CHARACTERS, MAX_TOKEN_CHARACTERS


class JwtVerifier:
    """Finds the caller that a token names. `secret`: what its issuer signs with, at least 32 bytes (RFC 7518, 3.2)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def principal(self, token: str) -> Principal:
        """Return the caller. Raises CredentialsRejectedError for any token that is not good."""
        import jwt  # noqa: PLC0415  a cold start pays for it only when a token is shown

        if len(token) > MAX_TOKEN_CHARACTERS:
            raise CredentialsRejectedError("Invalid JWT token")
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub", "role"]})
        except jwt.ExpiredSignatureError:
            raise CredentialsRejectedError("JWT token has expired") from None
        except jwt.MissingRequiredClaimError as error:  # known only once the signature was found good
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
