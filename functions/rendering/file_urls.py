"""Download URLs on the gateway's own address, where local mode serves files."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from functions.rendering.base_url import caller_base_url
from gateway.domain.file_url import signed_path

if TYPE_CHECKING:
    from gateway.ports import Clock


class GatewayFileUrls:
    """Implements the port `DownloadUrls`.

    `public_url`: the gateway's address for everybody; None: the address that the caller of this request used.
    """

    def __init__(self, secret: str, public_url: str | None, clock: Clock) -> None:
        self._secret = secret
        self._public_url = public_url
        self._clock = clock

    def presigned_url(self, key: str, *, seconds: int) -> str:
        """Return a URL that reads the object with a plain GET for so many seconds."""
        path = signed_path(key, expires_at=self._clock.now() + timedelta(seconds=seconds), secret=self._secret)
        return f"{self._public_url or caller_base_url.get()}{path}"
