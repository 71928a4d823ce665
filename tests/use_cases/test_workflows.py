"""Use cases of workflows: registering, updating and deleting, also concurrently."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.use_cases.delete_workflow import delete_workflow
from functions.use_cases.get_workflow import get_workflow, list_workflows
from functions.use_cases.register_workflow import NewWorkflow, register_workflow
from functions.use_cases.update_workflow import WorkflowChange, update_workflow
from gateway.errors import RequestInvalidError, StateConflictError, WorkflowNotFoundError
from tests.use_cases.environment import BY, GRAPH, SCHEMA, Environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from testing.workflow_store import InMemoryWorkflowStore

NOTHING: dict[str, Any] = dict.fromkeys(
    ("name", "description", "workflow_json", "input_schema", "default_params", "version")
)


def change(**fields: Any) -> WorkflowChange:  # noqa: ANN401  the fields of a change
    """Return a change of these fields only."""
    return WorkflowChange(**{**NOTHING, **fields})


@pytest.fixture
def workflows(env: Environment) -> InMemoryWorkflowStore:
    """Return the workflow store, which has `w`."""
    return env.ports.workflows


def new_workflow(**fields: Any) -> NewWorkflow:  # noqa: ANN401  the fields of a workflow
    """Return a valid workflow with these fields replaced."""
    usual: dict[str, Any] = {"id": "x", "name": "X", "description": "", "default_params": None}
    return NewWorkflow(**{**usual, "workflow_json": GRAPH, "input_schema": SCHEMA, **fields})


def test_a_registered_workflow_can_be_read(workflows: InMemoryWorkflowStore) -> None:
    """A new workflow has version 1 and its template, and is listed."""
    head, template = register_workflow(workflows, new_workflow(), BY)
    assert (head.version, head.name) == (1, "X")
    assert get_workflow(workflows, "x") == (head, template)
    assert [each.id for each in list_workflows(workflows)] == ["w", "x"]


def test_an_id_can_be_registered_once(workflows: InMemoryWorkflowStore) -> None:
    """A used id is a conflict, and the first workflow stays."""
    with pytest.raises(StateConflictError):
        register_workflow(workflows, new_workflow(id="w"), BY)
    assert get_workflow(workflows, "w")[0].name == "W"


def test_an_invalid_workflow_is_rejected(workflows: InMemoryWorkflowStore) -> None:
    """A token without an input or a default parameter is an error."""
    with pytest.raises(RequestInvalidError):
        register_workflow(workflows, new_workflow(input_schema=None), BY)
    assert [each.id for each in list_workflows(workflows)] == ["w"]


@pytest.mark.parametrize("workflow_id", ["unknown", "", "WORKFLOW#1", "a/b", "x" * 500])
def test_an_unknown_workflow(workflows: InMemoryWorkflowStore, workflow_id: str) -> None:
    """Every use case reports an unknown or invalid id as not found."""
    for use_case in (
        lambda: get_workflow(workflows, workflow_id),
        lambda: update_workflow(workflows, workflow_id, change(name="n"), BY),
        lambda: delete_workflow(workflows, workflow_id, BY),
    ):
        with pytest.raises(WorkflowNotFoundError):
            use_case()


def test_an_update_keeps_omitted_fields(workflows: InMemoryWorkflowStore) -> None:
    """An update is a new version with the omitted fields unchanged; the old template stays readable."""
    old, template = get_workflow(workflows, "w")
    head, same = update_workflow(workflows, "w", change(description="new"), BY)
    assert (head.version, head.name, head.description) == (2, "W", "new")
    assert same.graph == template.graph
    graph = {"1": {"class_type": "A", "inputs": {"text": "{{prompt}}"}}}
    head, other = update_workflow(workflows, "w", change(workflow_json=graph), BY)
    assert (head.version, head.description, other.graph) == (3, "new", graph)
    assert workflows.template(old.template_key).graph == template.graph


def test_an_update_is_checked_as_a_whole(workflows: InMemoryWorkflowStore) -> None:
    """A schema without an input that the graph uses is rejected, as is an update without fields."""
    for wrong in (change(input_schema={"type": "object", "fields": {}}), change(), change(version=1)):
        with pytest.raises(RequestInvalidError):
            update_workflow(workflows, "w", wrong, BY)
    assert get_workflow(workflows, "w")[0].version == 1


def write_concurrently(
    workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch, times: int, *, method: str
) -> None:
    """Update `w` in another request right before each of the next `times` writes."""
    write: Callable[..., Any] = getattr(workflows, method)
    update = workflows.update
    remaining = [times]

    def write_after_another_request(*arguments: Any) -> Any:  # noqa: ANN401  the types of the method
        if remaining[0]:
            remaining[0] -= 1
            head, template = get_workflow(workflows, "w")
            update(head, f"theirs {remaining[0]}", head.description, template, BY)
        return write(*arguments)

    monkeypatch.setattr(workflows, method, write_after_another_request)


def test_a_conflicting_update_is_repeated(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conflicting write is repeated on the new version."""
    write_concurrently(workflows, monkeypatch, 1, method="update")
    head, _ = update_workflow(workflows, "w", change(description="ours"), BY)
    assert (head.version, head.name, head.description) == (3, "theirs 0", "ours")


def test_an_update_is_repeated_once(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second conflict, the caller gets the error."""
    write_concurrently(workflows, monkeypatch, 2, method="update")
    with pytest.raises(StateConflictError):
        update_workflow(workflows, "w", change(description="ours"), BY)
    assert get_workflow(workflows, "w")[0].description == ""


def test_a_conflicting_update_of_a_given_version_fails(
    workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that sent the version it saw gets the conflict, before and during the write."""
    write_concurrently(workflows, monkeypatch, 1, method="update")
    for _ in range(2):
        with pytest.raises(StateConflictError):
            update_workflow(workflows, "w", change(description="ours", version=1), BY)
    assert get_workflow(workflows, "w")[0].description == ""
    head, _ = update_workflow(workflows, "w", change(description="ours", version=2), BY)
    assert head.version == 3


def test_a_deletion_wins_over_an_update(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion succeeds despite a concurrent update; templates stay for accepted jobs."""
    old, _ = get_workflow(workflows, "w")
    write_concurrently(workflows, monkeypatch, 1, method="delete")
    delete_workflow(workflows, "w", BY)
    assert list_workflows(workflows) == []
    assert workflows.template(old.template_key)


def test_every_change_is_in_the_audit_log(env: Environment, workflows: InMemoryWorkflowStore) -> None:
    """Each change has an audit entry with its author."""
    update_workflow(workflows, "w", change(name="n"), BY)
    delete_workflow(workflows, "w", BY)
    entries = env.ports.audit.newest(10, before=None)
    assert [entry.target for entry in entries] == ["w"] * 3
    assert {entry.by for entry in entries} == {BY}
