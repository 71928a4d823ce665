"""Changing a workflow that others may be changing at the same time.

    read the head ─▶ put the change over it ─▶ check the whole ─▶ write, if the head is still the one that was read

A write that came too late is tried once more on what stands there now: the two changes may be of different fields.
A caller that sent the version it saw wants to hear of the other change instead, and is not tried for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
from gateway.errors import Problem, RequestInvalidError, StateConflictError, WorkflowNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.domain.audit import Authorship
    from gateway.ports import WorkflowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowChange:
    """What is to become of a workflow; None leaves a part as it is."""

    name: str | None
    description: str | None
    workflow_json: Mapping[str, Any] | None
    input_schema: Mapping[str, Any] | None
    default_params: Mapping[str, Any] | None
    version: int | None  # that the caller saw; the change is for no other


def update(
    workflows: WorkflowStore, workflow_id: str, change: WorkflowChange, by: Authorship
) -> tuple[WorkflowHead, WorkflowTemplate]:
    """Change a workflow; return its new version.

    Raises WorkflowNotFoundError, RequestInvalidError or StateConflictError.
    """
    parts = (change.name, change.description, change.workflow_json, change.input_schema, change.default_params)
    if all(part is None for part in parts):
        raise RequestInvalidError(
            [Problem("", "Send at least one of name, description, workflowJson, inputSchema and defaultParams.")]
        )
    try:
        return _update_once(workflows, workflow_id, change, by)
    except StateConflictError:
        if change.version is not None:
            raise
        return _update_once(workflows, workflow_id, change, by)


def _update_once(
    workflows: WorkflowStore, workflow_id: str, change: WorkflowChange, by: Authorship
) -> tuple[WorkflowHead, WorkflowTemplate]:
    head = _head(workflows, workflow_id)
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


def delete(workflows: WorkflowStore, workflow_id: str, by: Authorship) -> None:
    """Delete a workflow, whatever its version. Raises WorkflowNotFoundError or StateConflictError."""
    try:
        workflows.delete(_head(workflows, workflow_id), by)
    except StateConflictError:
        workflows.delete(_head(workflows, workflow_id), by)


def _head(workflows: WorkflowStore, workflow_id: str) -> WorkflowHead:
    head = workflows.head(workflow_id)
    if head is None:
        raise WorkflowNotFoundError(workflow_id)
    return head
