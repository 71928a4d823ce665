"""Entries of the audit log: who did what to what, and when. They hold hashes of the content, never the content."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from gateway.domain.page_position import PagePosition

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.domain.principal import Principal


class AuditAction(StrEnum):
    """An action that is recorded."""

    WORKFLOW_CREATED = "workflow.created"
    WORKFLOW_UPDATED = "workflow.updated"
    WORKFLOW_DELETED = "workflow.deleted"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    DEAD_LETTERS_REDRIVEN = "dead_letters.redriven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorship:
    """Who acts, and in which request."""

    actor: Principal
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One recorded action."""

    position: PagePosition  # time and id of the entry
    by: Authorship
    action: AuditAction
    target: str  # a workflow's id, a key's name or a queue's name
    before: str | None = None  # SHA-256 in hex of the content before; None when there was none, or it did not change
    after: str | None = None  # the same of the content after

    @classmethod
    def new(  # noqa: PLR0913  all but two are named
        cls,
        action: AuditAction,
        target: str,
        *,
        by: Authorship,
        at: datetime,
        before: str | None = None,
        after: str | None = None,
    ) -> Self:
        """Make an entry with an id of its own."""
        return cls(
            position=PagePosition(at, str(uuid.uuid4())),
            by=by,
            action=action,
            target=target,
            before=before,
            after=after,
        )
