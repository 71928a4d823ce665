"""Delete a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.logs import api_logger
from functions.use_cases.get_workflow import get_workflow_head
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from gateway.domain.audit import Authorship
    from gateway.ports import WorkflowStore


def delete_workflow(workflows: WorkflowStore, workflow_id: str, by: Authorship) -> None:
    """Delete a workflow, whatever its version. Raises WorkflowNotFoundError or StateConflictError."""
    try:
        workflows.delete(get_workflow_head(workflows, workflow_id), by)
    except StateConflictError:
        # Somebody updated it meanwhile: once more, on the new head.
        workflows.delete(get_workflow_head(workflows, workflow_id), by)
    api_logger.info("workflow deleted", action="workflow_deleted", workflow_id=workflow_id)
