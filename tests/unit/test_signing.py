"""Webhook signatures, verified with the Standard Webhooks library and with a plain HMAC."""

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


def test_the_standard_webhooks_library_accepts_a_signature() -> None:
    """With a secret in the standard's format, and with any other secret as bytes."""
    Webhook(STANDARD).verify(BODY, signed(STANDARD))
    Webhook(PLAIN.encode()).verify(BODY, signed(PLAIN))


def test_a_changed_webhook_fails_verification() -> None:
    """Body, id and timestamp are all signed."""
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
    """Hexadecimal, of the raw body, with the characters of the secret as the key."""
    expected = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert signed(secret)["X-Signature"] == f"sha256={expected}"


def test_both_secrets_sign_during_a_rotation() -> None:
    """Receivers with either secret accept the webhook; X-Signature uses the new one."""
    headers = signed(STANDARD, PLAIN)
    Webhook(STANDARD).verify(BODY, headers)
    Webhook(PLAIN.encode()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER.encode()).verify(BODY, headers)
    assert headers["X-Signature"] == signed(STANDARD)["X-Signature"]


def test_each_owner_can_have_a_separate_secret() -> None:
    """Receivers with another owner's secret, or with the common one, reject the webhook."""
    headers = signed(PLAIN, per_owner=True, owner="ada")
    Webhook(owner_secret(PLAIN, "ada", 0)).verify(BODY, headers)
    for other in (owner_secret(PLAIN, "bob", 0), base64.b64encode(PLAIN.encode()).decode()):
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(BODY, headers)


def test_owner_secrets_rotate_with_the_common_secret() -> None:
    """During a rotation, both derived secrets sign."""
    headers = signed(OTHER, PLAIN, per_owner=True)
    for secret in (OTHER, PLAIN):
        Webhook(owner_secret(secret, "ada", 0)).verify(BODY, headers)


def test_one_owners_secret_can_be_renewed() -> None:
    """The previous secret signs as well, older ones do not, and secrets of other owners do not change."""
    for renewal in (1, 2, 3):
        headers = signed(PLAIN, per_owner=True, renewal=renewal)
        for number in (renewal, renewal - 1):
            Webhook(owner_secret(PLAIN, "ada", number)).verify(BODY, headers)
        assert len(headers["webhook-signature"].split()) == 2
        key = owner_secret(PLAIN, "ada", renewal).encode()
        assert headers["X-Signature"] == f"sha256={hmac.new(key, BODY, hashlib.sha256).hexdigest()}"
        others = signed(PLAIN, per_owner=True, owner="bob", renewal=renewal)
        assert others == signed(PLAIN, per_owner=True, owner="bob")


def test_renewed_secrets_of_different_owners_differ() -> None:
    """No choice of names gives two owners the same secret."""
    owners = ["ada", "1 of ada", "ada 1", " of ada"]
    secrets = [owner_secret(PLAIN, owner, renewal) for owner in owners for renewal in range(3)]
    assert len(set(secrets)) == len(secrets)
