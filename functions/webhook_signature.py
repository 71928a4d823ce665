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
    from collections.abc import Sequence

_PREFIX = "whsec_"


class Signer:
    """Signs. `secrets`: the current one, then those that it replaces; `per_owner`: each owner has its own."""

    def __init__(self, secrets: Sequence[str], *, per_owner: bool) -> None:
        self._secrets = secrets
        self._per_owner = per_owner

    def headers(self, owner: str, webhook_id: str, sent_at: int, body: bytes) -> dict[str, str]:
        """Sign a body for an owner's receiver. `webhook_id`: the same on every repeat; `sent_at`: epoch seconds."""
        secrets = [owner_secret(secret, owner) for secret in self._secrets] if self._per_owner else self._secrets
        signed = f"{webhook_id}.{sent_at}.".encode() + body
        return {
            "X-Signature": f"sha256={hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()}",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": " ".join(f"v1,{_base64_hmac(_key(secret), signed)}" for secret in secrets),
        }


def owner_secret(secret: str, owner: str) -> str:
    """Make an owner's own secret. Nobody can make another owner's of it, nor the one that it is made from."""
    return _PREFIX + _base64_hmac(_key(secret), b"webhook secret of " + owner.encode())


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()


def _base64_hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")
