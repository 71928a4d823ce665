"""The audit log in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.audit import AuditEntry
    from gateway.domain.page_position import PagePosition


class InMemoryAuditLog:
    """Implements the port `AuditLog`. Thread-safe. Entries never expire."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[AuditEntry] = []

    def record(self, entry: AuditEntry) -> None:
        """Write an entry."""
        with self._lock:
            self._entries.append(entry)

    def newest(self, limit: int, *, before: PagePosition | None) -> Sequence[AuditEntry]:
        """Read up to `limit` entries, newest first, that are before a position."""
        with self._lock:
            entries = sorted(self._entries, key=lambda entry: entry.position, reverse=True)
        return [entry for entry in entries if before is None or entry.position < before][:limit]
