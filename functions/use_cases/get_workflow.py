"""Get and list workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import WorkflowNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
    from gateway.ports import WorkflowStore


def list_workflows(workflows: WorkflowStore) -> Sequence[WorkflowHead]:
    """Read the heads of all workflows, by id."""
    return workflows.heads()


def get_workflow(workflows: WorkflowStore, workflow_id: str) -> tuple[WorkflowHead, WorkflowTemplate]:
    """Read the newest version of a workflow. Raises WorkflowNotFoundError."""
    head = get_workflow_head(workflows, workflow_id)
    return head, workflows.template(head.template_key)


def get_workflow_head(workflows: WorkflowStore, workflow_id: str) -> WorkflowHead:
    """Read the head of the newest version. Raises WorkflowNotFoundError, without a call when it cannot be an id."""
    head = workflows.head(workflow_id) if ID_PATTERN.fullmatch(workflow_id) else None
    if head is None:
        raise WorkflowNotFoundError(workflow_id)
    return head
