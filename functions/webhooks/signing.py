"""Sign webhooks: with the gateway's own `X-Signature`, and as Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. A secret that starts with
`whsec_` has that standard's form: the key is the decoded base64. Any other secret is used as the key itself. For
X-Signature every secret is used as the key itself, prefix included.
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
    """Signs webhooks. `secrets`: the current one, then those that it replaces; `per_owner`: each owner has its own.

    `renewals`: how often the secrets of these owners were renewed; an owner's previous secret still signs as well.
    """

    def __init__(self, secrets: Sequence[str], *, per_owner: bool, renewals: Mapping[str, int]) -> None:
        self._secrets = secrets
        self._per_owner = per_owner
        self._renewals = renewals

    def headers(self, owner: str, webhook_id: str, sent_at: int, body: bytes) -> dict[str, str]:
        """Return the signature headers. `webhook_id`: the same for every attempt; `sent_at`: epoch seconds."""
        secrets = self._owner_secrets(owner) if self._per_owner else self._secrets
        signed = f"{webhook_id}.{sent_at}.".encode() + body
        return {
            "X-Signature": f"sha256={hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()}",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": " ".join(f"v1,{_base64_hmac(_key(secret), signed)}" for secret in secrets),
        }

    def _owner_secrets(self, owner: str) -> Sequence[str]:
        renewal = self._renewals.get(owner, 0)
        return [
            owner_secret(secret, owner, number)
            for secret in self._secrets
            for number in range(renewal, max(renewal - 2, -1), -1)
        ]


def owner_secret(secret: str, owner: str, renewal: int) -> str:
    """Derive an owner's secret after this number of renewals.

    It reveals neither another owner's secret, nor later ones, nor the master secret.
    """
    number = f" {renewal}" if renewal else ""
    return _PREFIX + _base64_hmac(_key(secret), f"webhook secret{number} of {owner}".encode())


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()


def _base64_hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")
