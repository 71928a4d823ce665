"""Behaviour of JWTs: one algorithm, three claims, and no second chance."""

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
    """Make good claims but for these; None leaves one out."""
    good = {"sub": "ada", "role": "user", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(header: dict[str, Any], body: dict[str, Any], secret: str = SECRET) -> str:
    """Sign with HS256 whatever the header says."""
    head, payload = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, body))
    signature = hmac.digest(secret.encode(), head + b"." + payload, hashlib.sha256)
    return b".".join([head, payload, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def assert_refused(token: str, message: str = "Invalid JWT token") -> None:
    """Check that the token opens nothing."""
    with pytest.raises(CredentialsRejectedError) as caught:
        VERIFIER.principal(token)
    assert caught.value.message.startswith(message)
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("role", list(Role))
def test_a_good_token_names_its_caller(role: Role) -> None:
    """The subject is the owner."""
    assert VERIFIER.principal(jwt.encode(claims(role=role), SECRET)) == Principal(owner="ada", role=role)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", None, "RS256", "HS384", "HS512", "hs256", 5, ["HS256"]]
)
def test_only_hs256_is_taken(algorithm: object) -> None:
    """A token says which algorithm it was signed with; any other word than ours refuses it, however it is signed."""
    assert_refused(signed({"alg": algorithm, "typ": "JWT"}, claims()))


def test_a_token_without_a_signature_is_refused() -> None:
    """`alg: none` as libraries make it, and a good token with its signature cut off."""
    assert_refused(jwt.encode(claims(), "", algorithm="none"))
    assert_refused(jwt.encode(claims(), SECRET).rpartition(".")[0] + ".")


def test_another_secret_is_refused() -> None:
    """Nobody else can make a token."""
    assert_refused(jwt.encode(claims(), SECRET[::-1]))


def test_a_changed_token_is_refused() -> None:
    """A user cannot make itself admin."""
    head, _, signature = jwt.encode(claims(), SECRET).split(".")
    payload = jwt.encode(claims(role="admin"), SECRET).split(".")[1]
    assert_refused(f"{head}.{payload}.{signature}")


def test_an_expired_token_says_so() -> None:
    """From the second of `exp` on it is no longer good."""
    assert_refused(jwt.encode(claims(exp=int(time.time())), SECRET), "JWT token has expired")


@pytest.mark.parametrize("missing", ["sub", "role", "exp"])
def test_every_claim_is_needed(missing: str) -> None:
    """A token without an end, an owner or a role is refused, and its issuer is told which it was."""
    assert_refused(jwt.encode(claims(**{missing: None}), SECRET), f"Invalid JWT token: the claim {missing} is missing")


@pytest.mark.parametrize(
    "wrong",
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
def test_wrong_claims_are_refused(wrong: dict[str, Any]) -> None:
    """Unknown roles, subjects that could be no owner, other types, and tokens that are meant for another audience."""
    assert_refused(signed({"alg": "HS256"}, claims(**wrong)))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 100_000, "\ud800.a.b", "ключ.a.b", f"{'[' * 4000}"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """However wrong it is, it is refused, and nothing else happens."""
    assert_refused(token)


@given(st.text(max_size=200), st.binary(max_size=60), st.text(max_size=20))
def test_no_text_breaks_it(header: str, payload: bytes, signature: str) -> None:
    """Any text in the parts of a token ends in a refusal."""
    head = base64.urlsafe_b64encode(header.encode(errors="replace")).decode()
    assert_refused(f"{head}.{base64.urlsafe_b64encode(payload).decode()}.{signature}")


def test_nobody_pays_for_jwts_without_showing_one() -> None:
    """A cold start does not import PyJWT; the first token does."""
    program = (
        "import sys; from functions.http.jwt_auth import JwtVerifier; import functions.wiring.api; "
        f"verifier = JwtVerifier('{SECRET}'); assert 'jwt' not in sys.modules; "
        f"verifier.principal('{jwt.encode(claims(), SECRET)}'); assert 'jwt' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)  # noqa: S603  the program above
