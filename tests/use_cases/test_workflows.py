"""Workflows: registering, updating and deleting them, while others do the same."""

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


def change(**fields: Any) -> WorkflowChange:  # noqa: ANN401  a change's
    """Change these parts only."""
    return WorkflowChange(**{**NOTHING, **fields})


@pytest.fixture
def workflows(env: Environment) -> InMemoryWorkflowStore:
    """Give the store, which has `w`."""
    return env.ports.workflows


def new_workflow(**fields: Any) -> NewWorkflow:  # noqa: ANN401  a workflow's
    """Write a workflow that is valid but for these fields."""
    usual: dict[str, Any] = {"id": "x", "name": "X", "description": "", "default_params": None}
    return NewWorkflow(**{**usual, "workflow_json": GRAPH, "input_schema": SCHEMA, **fields})


def test_a_registered_workflow_is_there(workflows: InMemoryWorkflowStore) -> None:
    """As version 1, in the list, and with its template."""
    head, template = register_workflow(workflows, new_workflow(), BY)
    assert (head.version, head.name) == (1, "X")
    assert get_workflow(workflows, "x") == (head, template)
    assert [each.id for each in list_workflows(workflows)] == ["w", "x"]


def test_an_id_can_be_registered_once(workflows: InMemoryWorkflowStore) -> None:
    """The first one stays."""
    with pytest.raises(StateConflictError):
        register_workflow(workflows, new_workflow(id="w"), BY)
    assert get_workflow(workflows, "w")[0].name == "W"


def test_a_workflow_that_cannot_work_is_rejected(workflows: InMemoryWorkflowStore) -> None:
    """A token needs an input or a default parameter."""
    with pytest.raises(RequestInvalidError):
        register_workflow(workflows, new_workflow(input_schema=None), BY)
    assert [each.id for each in list_workflows(workflows)] == ["w"]


@pytest.mark.parametrize("workflow_id", ["unknown", "", "WORKFLOW#1", "a/b", "x" * 500])
def test_an_unknown_workflow(workflows: InMemoryWorkflowStore, workflow_id: str) -> None:
    """No use case finds it, also when it cannot be an id."""
    for use_case in (
        lambda: get_workflow(workflows, workflow_id),
        lambda: update_workflow(workflows, workflow_id, change(name="n"), BY),
        lambda: delete_workflow(workflows, workflow_id, BY),
    ):
        with pytest.raises(WorkflowNotFoundError):
            use_case()


def test_an_update_keeps_what_it_does_not_name(workflows: InMemoryWorkflowStore) -> None:
    """Each update is a new version; jobs of the old one find their template."""
    old, template = get_workflow(workflows, "w")
    head, same = update_workflow(workflows, "w", change(description="new"), BY)
    assert (head.version, head.name, head.description) == (2, "W", "new")
    assert same.graph == template.graph
    graph = {"1": {"class_type": "A", "inputs": {"text": "{{prompt}}"}}}
    head, other = update_workflow(workflows, "w", change(workflow_json=graph), BY)
    assert (head.version, head.description, other.graph) == (3, "new", graph)
    assert workflows.template(old.template_key).graph == template.graph


def test_an_update_is_checked_as_a_whole(workflows: InMemoryWorkflowStore) -> None:
    """A schema without an input that the graph names is rejected, and so is an update of nothing."""
    for wrong in (change(input_schema={"type": "object", "fields": {}}), change(), change(version=1)):
        with pytest.raises(RequestInvalidError):
            update_workflow(workflows, "w", wrong, BY)
    assert get_workflow(workflows, "w")[0].version == 1


def overtake(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch, times: int, *, method: str) -> None:
    """Let somebody else update `w` right before each of the next writes."""
    write: Callable[..., Any] = getattr(workflows, method)
    update = workflows.update
    remaining = [times]

    def overtaken(*arguments: Any) -> Any:  # noqa: ANN401  the method's
        if remaining[0]:
            remaining[0] -= 1
            head, template = get_workflow(workflows, "w")
            update(head, f"theirs {remaining[0]}", head.description, template, BY)
        return write(*arguments)

    monkeypatch.setattr(workflows, method, overtaken)


def test_two_updates_of_different_parts_both_win(
    workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write that lost the race is repeated on the new version."""
    overtake(workflows, monkeypatch, 1, method="update")
    head, _ = update_workflow(workflows, "w", change(description="ours"), BY)
    assert (head.version, head.name, head.description) == (3, "theirs 0", "ours")


def test_a_race_is_not_run_for_ever(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second loss the caller gets the conflict."""
    overtake(workflows, monkeypatch, 2, method="update")
    with pytest.raises(StateConflictError):
        update_workflow(workflows, "w", change(description="ours"), BY)
    assert get_workflow(workflows, "w")[0].description == ""


def test_an_update_of_a_version_loses_to_another_one(
    workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that sent the version it saw gets the conflict, before and during the write."""
    overtake(workflows, monkeypatch, 1, method="update")
    for _ in range(2):
        with pytest.raises(StateConflictError):
            update_workflow(workflows, "w", change(description="ours", version=1), BY)
    assert get_workflow(workflows, "w")[0].description == ""
    head, _ = update_workflow(workflows, "w", change(description="ours", version=2), BY)
    assert head.version == 3


def test_a_deletion_wins_over_an_update(workflows: InMemoryWorkflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin wants it gone, whatever its version; templates stay for jobs that were accepted with them."""
    old, _ = get_workflow(workflows, "w")
    overtake(workflows, monkeypatch, 1, method="delete")
    delete_workflow(workflows, "w", BY)
    assert list_workflows(workflows) == []
    assert workflows.template(old.template_key)


def test_every_change_is_in_the_audit_log(env: Environment, workflows: InMemoryWorkflowStore) -> None:
    """With its author."""
    update_workflow(workflows, "w", change(name="n"), BY)
    delete_workflow(workflows, "w", BY)
    entries = env.ports.audit.newest(10, before=None)
    assert [entry.target for entry in entries] == ["w"] * 3
    assert {entry.by for entry in entries} == {BY}
