"""Signatures, as receivers check them: with the published library, and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from functions.webhooks.signing import Signer, owner_secret

BODY = '{"event":"job.succeeded","metadata":{"ключ":"🦊"}}'.encode()
PLAIN, OTHER = "a secret of at least 24 bytes", "another secret of 24 bytes or more"
STANDARD = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def signed(*secrets: str, per_owner: bool = False, owner: str = "ada", renewal: int = 0) -> dict[str, str]:
    """Sign the body now."""
    signer = Signer(secrets, per_owner=per_owner, renewals={"ada": renewal})
    return signer.headers(owner, "w-1", int(time.time()), BODY)


def test_the_published_library_takes_it() -> None:
    """A secret in the standard's form is given to it as it is, any other one as bytes."""
    Webhook(STANDARD).verify(BODY, signed(STANDARD))
    Webhook(PLAIN.encode()).verify(BODY, signed(PLAIN))


def test_it_refuses_what_was_changed() -> None:
    """Body, id and time are all signed."""
    headers = signed(STANDARD)
    for body, changed in (
        (BODY + b" ", headers),
        (BODY, {**headers, "webhook-id": "w-2"}),
        (BODY, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (BODY, signed(OTHER)),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(STANDARD).verify(body, changed)


@pytest.mark.parametrize("secret", [PLAIN, STANDARD])
def test_x_signature_is_a_plain_hmac(secret: str) -> None:
    """Of the raw body, with the secret's own characters as the key, in hex."""
    expected = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert signed(secret)["X-Signature"] == f"sha256={expected}"


def test_two_secrets_sign_while_one_is_replaced() -> None:
    """Receivers that know either take it; X-Signature is by the new one."""
    headers = signed(STANDARD, PLAIN)
    Webhook(STANDARD).verify(BODY, headers)
    Webhook(PLAIN.encode()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER.encode()).verify(BODY, headers)
    assert headers["X-Signature"] == signed(STANDARD)["X-Signature"]


def test_each_owner_can_have_a_secret_of_its_own() -> None:
    """What is signed for one is not taken by another's receiver, nor by one that knows the common secret."""
    headers = signed(PLAIN, per_owner=True, owner="ada")
    Webhook(owner_secret(PLAIN, "ada", 0)).verify(BODY, headers)
    for other in (owner_secret(PLAIN, "bob", 0), base64.b64encode(PLAIN.encode()).decode()):
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(BODY, headers)


def test_owners_secrets_change_with_the_one_they_are_made_from() -> None:
    """Rotation works for them as well."""
    headers = signed(OTHER, PLAIN, per_owner=True)
    for secret in (OTHER, PLAIN):
        Webhook(owner_secret(secret, "ada", 0)).verify(BODY, headers)


def test_one_owners_secret_can_be_replaced_alone() -> None:
    """The one before signs as well, an older one no longer, and nobody else's changes."""
    for renewal in (1, 2, 3):
        headers = signed(PLAIN, per_owner=True, renewal=renewal)
        for number in (renewal, renewal - 1):
            Webhook(owner_secret(PLAIN, "ada", number)).verify(BODY, headers)
        assert len(headers["webhook-signature"].split()) == 2
        key = owner_secret(PLAIN, "ada", renewal).encode()
        assert headers["X-Signature"] == f"sha256={hmac.new(key, BODY, hashlib.sha256).hexdigest()}"
        others = signed(PLAIN, per_owner=True, owner="bob", renewal=renewal)
        assert others == signed(PLAIN, per_owner=True, owner="bob")


def test_renewals_are_no_other_owners() -> None:
    """However names are chosen, no two owners have a secret in common."""
    owners = ["ada", "1 of ada", "ada 1", " of ada"]
    made = [owner_secret(PLAIN, owner, renewal) for owner in owners for renewal in range(3)]
    assert len(set(made)) == len(made)
