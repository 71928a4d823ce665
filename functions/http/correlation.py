"""Correlation ids: every response has one, and the log lines of its request contain it."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from gateway.limits import MAX_CORRELATION_ID_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterable

CORRELATION_HEADER = "X-Correlation-Id"
_VALID_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MAX_CORRELATION_ID_CHARACTERS - 1}}}")


def correlation_id_for(headers: Iterable[tuple[str, str]]) -> str:
    """Return the correlation id that the caller sent if it is valid; else a new one."""
    sent = next((value for name, value in headers if name.lower() == CORRELATION_HEADER.lower()), "")
    return sent if _VALID_ID.fullmatch(sent or "") else str(uuid.uuid4())
