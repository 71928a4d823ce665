"""Workflows in memory."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.domain.audit import AuditAction, AuditEntry
from gateway.domain.workflow import WorkflowHead, fingerprint
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.audit import Authorship
    from gateway.domain.workflow import WorkflowTemplate
    from gateway.ports import AuditLog, Clock


class InMemoryWorkflowStore:
    """Implements the port `WorkflowStore`. Thread-safe. Templates are never removed."""

    def __init__(self, clock: Clock, audit: AuditLog) -> None:
        self._clock = clock
        self._audit = audit
        self._lock = threading.Lock()
        self._heads: dict[str, WorkflowHead] = {}
        self._templates: dict[str, WorkflowTemplate] = {}

    def create(
        self, workflow_id: str, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store a new workflow. Raises StateConflictError when its id is taken."""
        now = self._clock.now()
        head = WorkflowHead(
            id=workflow_id,
            name=name,
            description=description,
            version=1,
            created_at=now,
            updated_at=now,
            template_key=self._put_template(workflow_id, template),
        )
        with self._lock:
            if workflow_id in self._heads:
                raise StateConflictError(f"A workflow '{workflow_id}' already exists.")
            self._heads[workflow_id] = head
            self._audit.record(
                AuditEntry.new(
                    AuditAction.WORKFLOW_CREATED, workflow_id, by=by, at=now, after=fingerprint(head, template)
                )
            )
        return head

    def update(
        self, head: WorkflowHead, name: str, description: str, template: WorkflowTemplate, by: Authorship
    ) -> WorkflowHead:
        """Store the version after `head`. Raises StateConflictError when `head` is not the newest version."""
        old_template = self.template(head.template_key)
        same = template.to_json() == old_template.to_json()
        new = replace(
            head,
            name=name,
            description=description,
            version=head.version + 1,
            updated_at=self._clock.now(),
            template_key=head.template_key if same else self._put_template(head.id, template),
        )
        with self._lock:
            self._require_newest(head)
            self._heads[head.id] = new
            self._audit.record(
                AuditEntry.new(
                    AuditAction.WORKFLOW_UPDATED,
                    head.id,
                    by=by,
                    at=new.updated_at,
                    before=fingerprint(head, old_template),
                    after=fingerprint(new, template),
                )
            )
        return new

    def delete(self, head: WorkflowHead, by: Authorship) -> None:
        """Delete a workflow. Raises StateConflictError when `head` is not the newest version."""
        with self._lock:
            self._require_newest(head)
            del self._heads[head.id]
            before = fingerprint(head, self._templates[head.template_key])
            self._audit.record(
                AuditEntry.new(AuditAction.WORKFLOW_DELETED, head.id, by=by, at=self._clock.now(), before=before)
            )

    def head(self, workflow_id: str) -> WorkflowHead | None:
        """Read the newest version's head, or None."""
        return self._heads.get(workflow_id)

    def template(self, template_key: str) -> WorkflowTemplate:
        """Read the template of one version."""
        return self._templates[template_key]

    def heads(self) -> Sequence[WorkflowHead]:
        """Read all heads, by id."""
        with self._lock:
            return sorted(self._heads.values(), key=lambda head: head.id)

    def _put_template(self, workflow_id: str, template: WorkflowTemplate) -> str:
        key = f"{workflow_id}/{uuid.uuid4().hex}"
        self._templates[key] = template
        return key

    def _require_newest(self, head: WorkflowHead) -> None:
        stored = self._heads.get(head.id)
        if stored is None or (stored.version, stored.template_key) != (head.version, head.template_key):
            raise StateConflictError(f"Workflow '{head.id}' was changed in the meantime.")
