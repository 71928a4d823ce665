"""Read the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.audit import AuditEntry
    from gateway.domain.page_position import PagePosition
    from gateway.ports import AuditLog


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page, newest first. `next_page_position`: where the next page starts; None at the end."""

    entries: Sequence[AuditEntry]
    next_page_position: PagePosition | None


def read_audit_log(log: AuditLog, *, limit: int, position: PagePosition | None) -> AuditPage:
    """Read a page that starts at a position, or at the newest entry."""
    # One more than the limit shows whether there is a next page.
    found = log.newest(limit + 1, before=position)
    entries = found[:limit]
    return AuditPage(entries, entries[-1].position if len(found) > limit else None)
