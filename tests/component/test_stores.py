"""Behaviour of workflows, keys and executors in the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.aws.dynamodb.executor_store import DynamoExecutorStore
from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore
from gateway.domain.executor import Device, Heartbeat
from gateway.domain.model_files import ModelFolder, listed
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
from gateway.errors import StateConflictError
from tests.component.api import aws_calls
from tests.component.samples import BY, LATER, NOW, at_once

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.aws.s3 import S3ObjectStore


def template(text: str = "{{prompt}}") -> WorkflowTemplate:
    """Make a template of one node."""
    graph: dict[str, Any] = {"1": {"class_type": "A", "inputs": {"text": text, "cfg": 0.1}}}
    return WorkflowTemplate.register(graph, {"properties": {"prompt": {"type": "string"}}}, {"denoise": 1e-7})


@pytest.fixture
def workflows(aws: dict[str, str], aws_clients: Clients, objects: S3ObjectStore) -> DynamoWorkflowStore:
    """Give the workflows."""
    audit = DynamoAuditLog(aws_clients.dynamodb, aws["TABLE_NAME"], 30)
    return DynamoWorkflowStore(aws_clients.dynamodb, aws["TABLE_NAME"], objects, audit)


def test_a_workflow_is_read_as_it_was_created(workflows: DynamoWorkflowStore) -> None:
    """Head and template come back as they went, as version 1."""
    head = workflows.create("w-1", "Wölfe 🐺", "", template(), BY)
    assert (head.id, head.name, head.description, head.version) == ("w-1", "Wölfe 🐺", "", 1)
    assert head.created_at == head.updated_at
    assert workflows.head("w-1") == head
    assert workflows.template(head.template_key) == template()


def test_a_template_is_read_once(workflows: DynamoWorkflowStore, aws_clients: Clients) -> None:
    """A process reads a template it uses again and again one time only."""
    key = workflows.create("w", "W", "", template(), BY).template_key
    with aws_calls(aws_clients) as calls:
        assert workflows.template(key) is workflows.template(key)
    assert calls == ["s3.GetObject"]


def test_an_id_is_taken_once(workflows: DynamoWorkflowStore) -> None:
    """Creating it again is a conflict that names it, and leaves the first as it was."""
    head = workflows.create("w", "first", "", template("first"), BY)
    with pytest.raises(StateConflictError, match="'w'"):
        workflows.create("w", "second", "", template("second"), BY)
    assert workflows.head("w") == head
    assert workflows.template(head.template_key) == template("first")


def test_of_many_creations_one_wins(workflows: DynamoWorkflowStore) -> None:
    """Eight creations of one id at once: one head, which points at its own template."""

    def create(number: int) -> WorkflowHead | None:
        try:
            return workflows.create("w", f"n{number}", "", template(f"n{number}"), BY)
        except StateConflictError:
            return None

    (winner,) = [head for head in at_once(8, create) if head]
    assert workflows.head("w") == winner
    assert workflows.template(winner.template_key) == template(winner.name)


def test_workflows_are_listed_by_id(workflows: DynamoWorkflowStore) -> None:
    """A list has all heads, in order; of unknown ones there is none."""
    heads = [workflows.create(workflow_id, "n", "d", template(), BY) for workflow_id in ("b", "a", "C")]
    assert workflows.heads() == sorted(heads, key=lambda head: head.id)
    assert workflows.head("d") is None


@pytest.fixture
def keys(aws: dict[str, str], aws_clients: Clients) -> DynamoApiKeyStore:
    """Give the API keys."""
    return DynamoApiKeyStore(aws_clients.dynamodb, aws["TABLE_NAME"])


KEY = ApiKey(sha256=hash_key("s3cret"), name="ci", owner="Ада", role=Role.USER, created_at=NOW)


@pytest.mark.parametrize("key", [KEY, replace(KEY, role=Role.ADMIN, expires_at=LATER, disabled=True)])
def test_a_key_is_read_as_it_was_put(keys: DynamoApiKeyStore, key: ApiKey) -> None:
    """All fields survive."""
    keys.put(key)
    assert keys.get(key.sha256) == key


def test_a_key_is_replaced_and_forgotten(keys: DynamoApiKeyStore) -> None:
    """The last record of a hash stands; deleting, twice even, leaves none."""
    assert keys.get(KEY.sha256) is None
    keys.put(KEY)
    keys.put(replace(KEY, disabled=True))
    assert keys.get(KEY.sha256) == replace(KEY, disabled=True)
    keys.delete(KEY.sha256)
    keys.delete(KEY.sha256)
    assert keys.get(KEY.sha256) is None


def test_an_expired_key_is_not_swept_away(keys: DynamoApiKeyStore, aws: dict[str, str], aws_clients: Clients) -> None:
    """The table's clean-up leaves keys alone: an expired one is still listed as such."""
    keys.put(replace(KEY, expires_at=LATER))
    items = aws_clients.dynamodb.scan(TableName=aws["TABLE_NAME"])["Items"]
    assert len(items) == 2  # the second is for lists
    assert not [item for item in items if "expiresAt" in item]


@pytest.fixture
def executors(aws: dict[str, str], aws_clients: Clients) -> DynamoExecutorStore:
    """Give the executors' reports."""
    return DynamoExecutorStore(aws_clients.dynamodb, aws["TABLE_NAME"])


REPORT = Heartbeat(
    id="gpu-1",
    version="1.0",
    last_seen_at=NOW,
    jobs=1,
    waiting=3,
    mean_run_ms=1500,
    comfyui_url="http://127.0.0.1:8188",
    comfyui_reachable=True,
    comfyui_version="0.3.75",
    current_job_id="j",
    device=Device(name="cuda:0 “GPU”", vram_total_bytes=24_000_000_000, vram_free_bytes=5),
)


def test_a_report_is_read_as_it_was_made(executors: DynamoExecutorStore) -> None:
    """With and without what a ComfyUI that does not answer cannot say."""
    unknown: dict[str, Any] = {"comfyui_version": None, "device": None, "current_job_id": None, "mean_run_ms": None}
    silent = replace(REPORT, id="gpu-2", comfyui_reachable=False, **unknown)
    executors.put_heartbeat(silent, expires_at=LATER)
    executors.put_heartbeat(REPORT, expires_at=LATER)
    assert executors.heartbeats(NOW) == [REPORT, silent]


def test_only_the_last_report_of_an_executor_counts(executors: DynamoExecutorStore) -> None:
    """A report takes the place of the one before; old ones are not told."""
    executors.put_heartbeat(REPORT, expires_at=LATER)
    newer = replace(REPORT, last_seen_at=LATER, jobs=0)
    executors.put_heartbeat(newer, expires_at=LATER)
    assert executors.heartbeats(NOW) == [newer]
    assert executors.heartbeats(LATER + timedelta(milliseconds=1)) == []


def test_models_are_read_as_they_were_written(executors: DynamoExecutorStore) -> None:
    """Those of each executor, as it wrote them last; reports know nothing of them."""
    executors.put_models("gpu-1", {"loras": ModelFolder(1, ("old",))}, expires_at=LATER)
    folders = {"checkpoints": ModelFolder(900, ("a.safetensors", "ü.safetensors")), "vae": ModelFolder(1, ())}
    executors.put_models("gpu-1", folders, expires_at=LATER)
    executors.put_models("gpu-2", {}, expires_at=LATER)
    assert executors.models() == {"gpu-1": folders, "gpu-2": {}}
    assert executors.heartbeats(NOW) == []


def test_the_most_models_that_are_listed_can_be_written(executors: DynamoExecutorStore) -> None:
    """However many there are, under whatever names, what is left of them fits into an item."""
    folders = listed({f"{number:03}": [f"{name:04}{'ü' * 100}" for name in range(1000)] for number in range(100)})
    executors.put_models("gpu-1", folders, expires_at=LATER)
    assert executors.models() == {"gpu-1": folders}
