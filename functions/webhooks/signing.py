"""Signatures of webhooks: the gateway's own `X-Signature`, and those of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. A secret that begins with
`whsec_` is in that standard's form: the key is what its base64 says. Any other secret is a key as it stands. For
X-Signature every secret is a key as it stands, prefix included.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREFIX = "whsec_"


class Signer:
    """Signs. `secrets`: the current one, then those that it replaces; `per_owner`: each owner has its own.

    `renewals`: how often the own secrets of these owners have been replaced; the one before the last signs as well.
    """

    def __init__(self, secrets: Sequence[str], *, per_owner: bool, renewals: Mapping[str, int]) -> None:
        self._secrets = secrets
        self._per_owner = per_owner
        self._renewals = renewals

    def headers(self, owner: str, webhook_id: str, sent_at: int, body: bytes) -> dict[str, str]:
        """Sign a body for an owner's receiver. `webhook_id`: the same on every repeat; `sent_at`: epoch seconds."""
        secrets = self._owners(owner) if self._per_owner else self._secrets
        signed = f"{webhook_id}.{sent_at}.".encode() + body
        return {
            "X-Signature": f"sha256={hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()}",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": " ".join(f"v1,{_base64_hmac(_key(secret), signed)}" for secret in secrets),
        }

    def _owners(self, owner: str) -> Sequence[str]:
        renewal = self._renewals.get(owner, 0)
        return [
            owner_secret(secret, owner, number)
            for secret in self._secrets
            for number in range(renewal, max(renewal - 2, -1), -1)
        ]


def owner_secret(secret: str, owner: str, renewal: int) -> str:
    """Make an owner's own secret, as it is after so many renewals.

    Nobody can make another owner's of it, nor the one after the next renewal, nor the one that it is made from.
    """
    number = f" {renewal}" if renewal else ""
    return _PREFIX + _base64_hmac(_key(secret), f"webhook secret{number} of {owner}".encode())


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()


def _base64_hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")
