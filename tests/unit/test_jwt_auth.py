"""JWT authentication: only HS256 is accepted, and every claim is checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.http.jwt_auth import JwtVerifier
from gateway.domain.principal import Principal, Role
from gateway.errors import CredentialsRejectedError

SECRET = "0123456789abcdef0123456789abcdef"
VERIFIER = JwtVerifier(SECRET)


def claims(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  any claims
    """Make valid claims with these changes; None removes a claim."""
    valid = {"sub": "ada", "role": "user", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def signed(header: dict[str, Any], body: dict[str, Any], secret: str = SECRET) -> str:
    """Sign with HS256, even if the header names another algorithm."""
    head, payload = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body))
    signature = hmac.digest(secret.encode(), head + b"." + payload, hashlib.sha256)
    return b".".join([head, payload, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def assert_rejected(token: str, contains: str = "") -> None:
    """Check that the token is rejected, and that the message does not contain the secret."""
    with pytest.raises(CredentialsRejectedError) as caught:
        VERIFIER.principal(token)
    assert contains in caught.value.message
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("role", list(Role))
def test_a_valid_token_identifies_its_caller(role: Role) -> None:
    """The subject is the owner."""
    assert VERIFIER.principal(jwt.encode(claims(role=role), SECRET)) == Principal(owner="ada", role=role)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", None, "RS256", "HS384", "HS512", "hs256", 5, ["HS256"]]
)
def test_only_hs256_is_accepted(algorithm: object) -> None:
    """A token that names another algorithm is rejected, even if its HS256 signature is valid."""
    assert_rejected(signed({"alg": algorithm, "typ": "JWT"}, claims()))


def test_a_token_without_a_signature_is_rejected() -> None:
    """A token with `alg: none`, and a valid token without its signature."""
    assert_rejected(jwt.encode(claims(), "", algorithm="none"))
    assert_rejected(jwt.encode(claims(), SECRET).rpartition(".")[0] + ".")


def test_a_token_signed_with_another_secret_is_rejected() -> None:
    """Only the holder of the secret can create tokens."""
    assert_rejected(jwt.encode(claims(), SECRET[::-1]))


def test_a_modified_token_is_rejected() -> None:
    """A user cannot change its own role to admin."""
    head, _, signature = jwt.encode(claims(), SECRET).split(".")
    payload = jwt.encode(claims(role="admin"), SECRET).split(".")[1]
    assert_rejected(f"{head}.{payload}.{signature}")


def test_an_expired_token_is_rejected() -> None:
    """It is not valid from the second of `exp` on, and the message contains the reason."""
    assert_rejected(jwt.encode(claims(exp=int(time.time())), SECRET), "expired")


@pytest.mark.parametrize("missing", ["sub", "role", "exp"])
def test_every_claim_is_required(missing: str) -> None:
    """A token without expiry, owner or role is rejected, and the message names the missing claim."""
    assert_rejected(jwt.encode(claims(**{missing: None}), SECRET), f"claim {missing}")


@pytest.mark.parametrize(
    "invalid",
    [
        {"sub": ""},
        {"sub": " "},
        {"sub": "a\nb"},
        {"sub": "x" * 257},
        {"sub": 5},
        {"sub": ["ada"]},
        {"role": "king"},
        {"role": "Admin"},
        {"role": ["admin"]},
        {"role": {"admin": True}},
        {"role": ""},
        {"exp": "soon"},
        {"exp": [9999999999]},
        {"exp": float("inf")},
        {"nbf": 9999999999},
        {"aud": "somebody else"},
    ],
)
def test_invalid_claims_are_rejected(invalid: dict[str, Any]) -> None:
    """Unknown roles, subjects that cannot be owners, other types, and tokens for another audience."""
    assert_rejected(signed({"alg": "HS256"}, claims(**invalid)))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 100_000, "\ud800.a.b", "ключ.a.b", f"{'[' * 4000}"])
def test_malformed_tokens_are_rejected(token: str) -> None:
    """No malformed token raises another exception."""
    assert_rejected(token)


@given(st.text(max_size=200), st.binary(max_size=60), st.text(max_size=20))
def test_any_text_is_rejected(header: str, payload: bytes, signature: str) -> None:
    """A token with any text in its parts raises only CredentialsRejectedError."""
    head = base64.urlsafe_b64encode(header.encode(errors="replace")).decode()
    assert_rejected(f"{head}.{base64.urlsafe_b64encode(payload).decode()}.{signature}")


def test_pyjwt_is_imported_on_first_use() -> None:
    """A cold start does not import PyJWT; verifying the first token does."""
    program = (
        "import sys; from functions.http.jwt_auth import JwtVerifier; import functions.wiring.api; "
        f"verifier = JwtVerifier('{SECRET}'); assert 'jwt' not in sys.modules; "
        f"verifier.principal('{jwt.encode(claims(), SECRET)}'); assert 'jwt' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)  # noqa: S603  the program above
