"""Limit the requests that wait for a job (`?wait=`), each of which holds a worker process.

A request beyond the limits waits a second without a worker, and then gets the job as it is: its client asks again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_WAITING = 16  # of 24 workers
MAX_WAITING_PER_CALLER = 8
_PAUSE_SECONDS = 1.0


class WaitingRequests:
    """Counts the waiting requests of a server."""

    def __init__(self) -> None:
        self._callers: Counter[bytes] = Counter()

    @asynccontextmanager
    async def admitted(self, event: dict[str, Any]) -> AsyncIterator[None]:
        """Hold a place while an event is processed; without one, pause and remove `wait` from the event."""
        if not (event["queryStringParameters"] or {}).get("wait", "0").strip("0"):
            yield
            return
        caller = _caller(event)
        if self._callers.total() >= MAX_WAITING or self._callers[caller] >= MAX_WAITING_PER_CALLER:
            await asyncio.sleep(_PAUSE_SECONDS)
            for parameters, none in (("queryStringParameters", "0"), ("multiValueQueryStringParameters", ["0"])):
                event[parameters]["wait"] = none
            yield
            return
        self._callers[caller] += 1
        try:
            yield
        finally:
            self._callers[caller] -= 1
            self._callers += Counter()  # drops callers that wait no more


def _caller(event: dict[str, Any]) -> bytes:
    """Return what tells callers apart: their credentials, else their address. Whether these are good is not known."""
    headers = event["headers"]
    identity = (
        headers.get("X-Api-Key") or headers.get("Authorization") or event["requestContext"]["identity"]["sourceIp"]
    )
    return hashlib.sha256(identity.encode()).digest()
