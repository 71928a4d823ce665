"""URLs on the gateway's own address that read one stored file, for a while, without a key.

Local mode uses them where AWS has presigned URLs of S3. `/local-files/KEY?expires=SECONDS&signature=HEX`: the signature
covers the key of the object and the time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from datetime import datetime

FILE_URL_PREFIX = "/local-files/"
_QUERY = re.compile(r"expires=([0-9]{1,12})&signature=([0-9a-f]{64})")


def signed_path(key: str, *, expires_at: datetime, secret: str) -> str:
    """Return the path and query that read an object until a time."""
    expires = int(expires_at.timestamp())
    return f"{FILE_URL_PREFIX}{quote(key)}?expires={expires}&signature={_signature(key, expires, secret)}"


def key_of(path: str, query: str, *, now: datetime, secret: str) -> str | None:
    """Return the key of the object that a URL reads; None when its signature is wrong or it has expired.

    `path` is as the client sent it, still percent-encoded.
    """
    parts = _QUERY.fullmatch(query) if path.startswith(FILE_URL_PREFIX) else None
    if parts is None:
        return None
    key, expires = unquote(path.removeprefix(FILE_URL_PREFIX)), int(parts[1])
    if not hmac.compare_digest(_signature(key, expires, secret), parts[2]) or now.timestamp() > expires:
        return None
    return key


def _signature(key: str, expires: int, secret: str) -> str:
    return hmac.new(secret.encode(), f"GET\n{expires}\n{key}".encode(), hashlib.sha256).hexdigest()
