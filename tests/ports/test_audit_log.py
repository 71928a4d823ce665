"""The port AuditLog."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.domain.audit import AuditAction, AuditEntry
from tests.component.samples import BY, NOW

if TYPE_CHECKING:
    from tests.ports.conftest import Ports


def test_entries_are_read_newest_first(ports: Ports) -> None:
    """All fields survive, and `limit` cuts off the older entries."""
    entries = [
        AuditEntry.new(
            AuditAction.KEY_CREATED, f"k{n}", by=BY, at=NOW + timedelta(milliseconds=n), before=None, after="ab"
        )
        for n in range(3)
    ]
    for entry in (entries[1], entries[2], entries[0]):
        ports.audit.record(entry)
    assert ports.audit.newest(10, before=None) == entries[::-1]
    assert ports.audit.newest(2, before=None) == [entries[2], entries[1]]


def test_pages_follow_each_other(ports: Ports) -> None:
    """The entries before a position, without the one at it; entries of the same millisecond are all read."""
    for number in range(5):
        ports.audit.record(AuditEntry.new(AuditAction.KEY_REVOKED, f"k{number}", by=BY, at=NOW))
    whole = ports.audit.newest(10, before=None)
    first = ports.audit.newest(2, before=None)
    second = ports.audit.newest(10, before=first[-1].position)
    assert len(whole) == 5
    assert [*first, *second] == whole
