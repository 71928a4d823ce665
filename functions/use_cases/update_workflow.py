"""Update a workflow that others may be updating at the same time.

    read the head ─▶ apply the change ─▶ check the whole workflow ─▶ write, if the head is still the one that was read

A write that lost this race is tried once more on the new head: the two changes may be of different fields.
A caller that sent the version it saw gets the conflict instead, without a second try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.logs import api_logger
from functions.use_cases.get_workflow import get_workflow_head
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
from gateway.errors import Problem, RequestInvalidError, StateConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.audit import Authorship
    from gateway.ports import WorkflowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChange:
    """A change of a workflow; None leaves a part as it is."""

    name: str | None
    description: str | None
    workflow_json: Mapping[str, Any] | None
    input_schema: Mapping[str, Any] | None
    default_params: Mapping[str, Any] | None
    version: int | None  # that the caller saw; the change applies to this version only


def update_workflow(
    workflows: WorkflowStore, workflow_id: str, change: WorkflowChange, by: Authorship
) -> tuple[WorkflowHead, WorkflowTemplate]:
    """Update a workflow; return its new version.

    Raises WorkflowNotFoundError, RequestInvalidError or StateConflictError.
    """
    parts = (change.name, change.description, change.workflow_json, change.input_schema, change.default_params)
    if all(part is None for part in parts):
        raise RequestInvalidError(
            [Problem("", "Send at least one of name, description, workflowJson, inputSchema and defaultParams.")]
        )
    try:
        head, template = _update_once(workflows, workflow_id, change, by)
    except StateConflictError:
        if change.version is not None:
            raise
        head, template = _update_once(workflows, workflow_id, change, by)
    api_logger.info("workflow updated", action="workflow_updated", workflow_id=head.id, version=head.version)
    return head, template


def _update_once(
    workflows: WorkflowStore, workflow_id: str, change: WorkflowChange, by: Authorship
) -> tuple[WorkflowHead, WorkflowTemplate]:
    head = get_workflow_head(workflows, workflow_id)
    if change.version is not None and change.version != head.version:
        raise StateConflictError(
            f"Workflow '{workflow_id}' is at version {head.version}, not {change.version}. Read it again."
        )
    old = workflows.template(head.template_key)
    template = WorkflowTemplate.register(
        old.graph if change.workflow_json is None else change.workflow_json,
        old.input_schema if change.input_schema is None else change.input_schema,
        old.default_params if change.default_params is None else change.default_params,
    )
    name = head.name if change.name is None else change.name
    description = head.description if change.description is None else change.description
    return workflows.update(head, name, description, template, by), template
