"""What admins did: who, what, on what, when. Entries hold hashes of what was changed, never the thing itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.page_position import PagePosition
    from gateway.domain.principal import Principal


class AuditAction(StrEnum):
    """What can be done that is recorded."""

    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_UPDATED = "workflow.updated"
    WORKFLOW_DELETED = "workflow.deleted"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    DEAD_LETTERS_REDRIVEN = "dead_letters.redriven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorship:
    """Who does something, and in which request."""

    actor: Principal
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done."""

    position: PagePosition  # when, and the entry's id
    by: Authorship
    action: AuditAction
    target: str  # the id of what it was done to: a workflow's, a key's name, a queue's name
    before: str | None = None  # SHA-256 in hex of what stood there before; None when nothing did, or nothing changed
    after: str | None = None  # the same of what stands there since
