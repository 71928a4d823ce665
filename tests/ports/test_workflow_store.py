"""The port WorkflowStore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.domain.audit import AuditAction
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate, fingerprint
from gateway.errors import StateConflictError
from tests.component.samples import BY, run_concurrently

if TYPE_CHECKING:
    from gateway.ports import WorkflowStore
    from tests.ports.conftest import Ports


@pytest.fixture
def workflows(ports: Ports) -> WorkflowStore:
    """Return the workflow store."""
    return ports.workflows


def template(text: str = "{{prompt}}") -> WorkflowTemplate:
    """Make a template of one node."""
    graph: dict[str, Any] = {"1": {"class_type": "A", "inputs": {"text": text, "cfg": 0.1}}}
    return WorkflowTemplate.register(graph, {"properties": {"prompt": {"type": "string"}}}, {"denoise": 1e-7})


def test_a_workflow_is_read_as_it_was_created(workflows: WorkflowStore) -> None:
    """Head and template are read as they were written, as version 1."""
    head = workflows.create("w-1", "Wölfe 🐺", "", template(), BY)
    assert (head.id, head.name, head.description, head.version) == ("w-1", "Wölfe 🐺", "", 1)
    assert head.created_at == head.updated_at
    assert workflows.head("w-1") == head
    assert workflows.template(head.template_key) == template()


def test_an_id_is_taken_once(workflows: WorkflowStore) -> None:
    """Creating it again is a conflict that names it, and changes nothing."""
    head = workflows.create("w", "first", "", template("first"), BY)
    with pytest.raises(StateConflictError, match="'w'"):
        workflows.create("w", "second", "", template("second"), BY)
    assert workflows.head("w") == head
    assert workflows.template(head.template_key) == template("first")


def test_a_race_to_create_has_one_winner(workflows: WorkflowStore) -> None:
    """Eight threads create one id at once: one head is stored, with its own template."""

    def create(number: int) -> WorkflowHead | None:
        try:
            return workflows.create("w", f"n{number}", "", template(f"n{number}"), BY)
        except StateConflictError:
            return None

    (winner,) = [head for head in run_concurrently(8, create) if head]
    assert workflows.head("w") == winner
    assert workflows.template(winner.template_key) == template(winner.name)


def test_workflows_are_listed_by_id(workflows: WorkflowStore) -> None:
    """A list has all heads, ordered by id; an unknown id has no head."""
    heads = [workflows.create(workflow_id, "n", "d", template(), BY) for workflow_id in ("b", "a", "C")]
    assert workflows.heads() == sorted(heads, key=lambda head: head.id)
    assert workflows.head("d") is None


def test_an_update_is_the_next_version(workflows: WorkflowStore) -> None:
    """It keeps the creation time; the template of the version before can still be read."""
    first = workflows.create("w", "W", "", template("one"), BY)
    second = workflows.update(first, "W2", "d", template("two"), BY)
    assert (second.version, second.name, second.created_at) == (2, "W2", first.created_at)
    assert workflows.head("w") == second
    assert workflows.template(second.template_key) == template("two")
    assert workflows.template(first.template_key) == template("one")


def test_an_unchanged_template_keeps_its_key(workflows: WorkflowStore) -> None:
    """A new name alone is a new version with the same template."""
    first = workflows.create("w", "W", "", template(), BY)
    assert workflows.update(first, "W2", "", template(), BY).template_key == first.template_key


@pytest.mark.parametrize("change", ["update", "delete"])
def test_only_the_newest_version_can_be_changed(workflows: WorkflowStore, change: str) -> None:
    """A change based on an older version is a conflict, also when the id was deleted and created again."""
    first = workflows.create("w", "W", "", template("one"), BY)
    newest = workflows.update(first, "W2", "", template("two"), BY)

    def act(head: WorkflowHead) -> None:
        if change == "update":
            workflows.update(head, "late", "", template("late"), BY)
        else:
            workflows.delete(head, BY)

    with pytest.raises(StateConflictError):
        act(first)
    assert workflows.head("w") == newest
    workflows.delete(newest, BY)
    assert workflows.head("w") is None
    again = workflows.create("w", "W", "", template("one"), BY)
    with pytest.raises(StateConflictError):
        act(first)
    assert workflows.head("w") == again


def test_each_change_is_in_the_audit_log(ports: Ports) -> None:
    """Newest first, each with the fingerprints before and after; a refused change leaves no entry."""
    first = ports.workflows.create("w", "W", "", template("one"), BY)
    with pytest.raises(StateConflictError):
        ports.workflows.create("w", "W", "", template("one"), BY)
    second = ports.workflows.update(first, "W", "", template("two"), BY)
    ports.workflows.delete(second, BY)
    one, two = fingerprint(first, template("one")), fingerprint(second, template("two"))
    entries = sorted(ports.audit.newest(10, before=None), key=lambda entry: entry.action)
    assert [(entry.action, entry.target, entry.before, entry.after) for entry in entries] == [
        (AuditAction.WORKFLOW_CREATED, "w", None, one),
        (AuditAction.WORKFLOW_DELETED, "w", two, None),
        (AuditAction.WORKFLOW_UPDATED, "w", one, two),
    ]
