"""Register a new workflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.logs import api_logger
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.audit import Authorship
    from gateway.ports import WorkflowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWorkflow:
    """A workflow as its author sends it."""

    id: str
    name: str
    description: str
    workflow_json: Mapping[str, Any]
    input_schema: Mapping[str, Any] | None
    default_params: Mapping[str, Any] | None


def register_workflow(
    workflows: WorkflowStore, new: NewWorkflow, by: Authorship
) -> tuple[WorkflowHead, WorkflowTemplate]:
    """Check a workflow and store it as version 1.

    Raises RequestInvalidError, and StateConflictError when the id is taken.
    """
    template = WorkflowTemplate.register(new.workflow_json, new.input_schema, new.default_params)
    head = workflows.create(new.id, new.name, new.description, template, by)
    api_logger.info("workflow created", action="workflow_created", workflow_id=head.id)
    return head, template
