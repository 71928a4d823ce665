"""`PUT` and `DELETE /workflows/{id}`: updates, deletion, templates and concurrent changes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from functions.use_cases.delete_workflow import delete_workflow
from functions.use_cases.update_workflow import WorkflowChange, update_workflow
from gateway.aws.resources import BUCKET
from gateway.domain.object_keys import TEMPLATE_PREFIX
from gateway.errors import StateConflictError, WorkflowNotFoundError
from tests.component.api import AwsGateway, Gateway, aws_calls
from tests.component.samples import BY, run_concurrently
from tests.component.workflows import GRAPH, PARAMS, SCHEMA, add_workflow, post, received

if TYPE_CHECKING:
    from gateway.aws.clients import Clients

GREETING: dict[str, Any] = {"1": {"class_type": "Greeting", "inputs": {"text": "{{prompt}}"}}}
NOTHING: dict[str, Any] = {
    "name": None, "description": None, "workflow_json": None, "input_schema": None, "default_params": None,
    "version": None,
}  # fmt: skip


def expiring_templates(gateway: AwsGateway) -> dict[str, bool]:
    """Return the keys of the templates in the bucket, and whether each has the tag that makes it expire."""
    s3, bucket = gateway.clients.s3, gateway.wiring.settings.bucket_name
    name, value = BUCKET.expiring_tag
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=TEMPLATE_PREFIX).get("Contents", [])]
    tags = {key: s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] for key in keys}
    return {key: {"Key": name, "Value": value} in tag_set for key, tag_set in tags.items()}


def template_key_of(gateway: Gateway, workflow_id: str = "w") -> str:
    """Return the template key of a workflow's newest version."""
    head = gateway.wiring.workflows.head(workflow_id)
    assert head is not None
    return head.template_key


def test_each_field_can_be_changed_alone(gateway: Gateway) -> None:
    """Omitted fields stay; every PUT is a new version, and its response equals that of a GET."""
    add_workflow(gateway)
    before = gateway.ada.get("/workflows/w").json["workflow"]
    changes: list[dict[str, Any]] = [
        {"name": "Füchse"},
        {"description": "d"},
        {"workflowJson": {**GRAPH, **GREETING}},
        {"inputSchema": {"properties": {"prompt": {}, "seed": {}, "steps": {"type": "number"}}}},
        {"defaultParams": {"checkpoint": "other.safetensors"}},
        {"name": "Wölfe", "description": "", "defaultParams": PARAMS, "inputSchema": None},
    ]
    for version, change in enumerate(changes, start=2):
        response = gateway.admin.put("/workflows/w", change)
        assert response.status == 200
        workflow = response.json["workflow"]
        assert workflow["version"] == version
        assert workflow["updatedAt"] > before["updatedAt"]
        for part in ("id", "createdAt", "name", "description", "workflowJson", "defaultParams"):
            assert workflow[part] == (before[part] if change.get(part) is None else change[part])
        changed = change.get("inputSchema") or before["inputSchema"]
        assert workflow["inputSchema"]["properties"] == changed["properties"]
        assert gateway.ada.get("/workflows/w").json["workflow"] == workflow
        before = workflow


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({}, ""),
        ({"name": None, "inputSchema": None}, ""),
        ({"version": 1}, ""),
        ({"id": "other", "name": "x"}, "id"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"description": 1}, "description"),
        ({"name": "x", "version": 0}, "version"),
        ({"name": "x", "version": "1"}, "version"),
        ({"workflowJson": {}}, "workflowJson"),
        ({"workflowJson": {"1": {"class_type": "A", "inputs": {"a": "{{new}}"}}}}, "workflowJson"),
        ({"inputSchema": {"properties": {}}}, "workflowJson"),
        ({"defaultParams": {}}, "workflowJson"),
        ({"inputSchema": {"properties": {"a": {"$ref": "http://127.0.0.1/"}}}}, "inputSchema"),
    ],
)
def test_the_changed_workflow_is_validated_as_a_whole(
    aws_gateway: AwsGateway, change: dict[str, Any], path: str
) -> None:
    """Sent and stored fields are validated together; a rejected change writes nothing."""
    add_workflow(aws_gateway)
    before = aws_gateway.ada.get("/workflows/w").json
    response = aws_gateway.admin.put("/workflows/w", change)
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert path in [error["path"] for error in response.json["details"]["errors"]]
    assert aws_gateway.ada.get("/workflows/w").json == before
    assert len(expiring_templates(aws_gateway)) == len(aws_gateway.wiring.audit.newest(100, before=None)) == 1


def test_only_admins_can_change_workflows(gateway: Gateway) -> None:
    """Users get 403, callers without a key 401, and nothing changes."""
    add_workflow(gateway)
    for caller, status, code in ((gateway.ada, 403, "FORBIDDEN"), (gateway.anonymous, 401, "AUTH_FAILED")):
        for response in (
            caller.put("/workflows/w", {"name": "x"}),
            caller.put("/workflows/unknown", {}),
            caller.delete("/workflows/w"),
            caller.delete("/workflows/unknown"),
        ):
            assert (response.status, response.json["error"]) == (status, code)
    assert gateway.ada.get("/workflows/w").json["workflow"]["version"] == 1


@pytest.mark.parametrize("workflow_id", ["unknown", "..", "a%2Fb", "x" * 3000, "é"])
def test_changing_an_unknown_workflow_is_404(gateway: Gateway, workflow_id: str) -> None:
    """Any unknown or invalid id is 404 for both methods."""
    for response in (
        gateway.admin.put(f"/workflows/{workflow_id}", {"name": "x"}),
        gateway.admin.delete(f"/workflows/{workflow_id}"),
    ):
        assert (response.status, response.json["error"]) == (404, "WORKFLOW_NOT_FOUND")


def test_a_change_of_an_outdated_version_is_409(gateway: Gateway) -> None:
    """A change of an outdated version is 409, and the message names the present version."""
    add_workflow(gateway)
    assert gateway.admin.put("/workflows/w", {"name": "a", "version": 1}).status == 200
    response = gateway.admin.put("/workflows/w", {"name": "b", "version": 1})
    assert (response.status, response.json["error"]) == (409, "CONFLICT")
    assert "version 2" in response.json["message"]
    assert gateway.ada.get("/workflows/w").json["workflow"]["name"] == "a"


def test_a_new_name_keeps_the_template(aws_gateway: AwsGateway) -> None:
    """A new name writes no template, so functions keep theirs cached; `true` and `1` are different values."""
    add_workflow(aws_gateway)
    key = template_key_of(aws_gateway)
    aws_gateway.admin.put("/workflows/w", {"name": "x", "workflowJson": GRAPH})
    assert (template_key_of(aws_gateway), expiring_templates(aws_gateway)) == (key, {key: False})
    aws_gateway.admin.put("/workflows/w", {"defaultParams": {**PARAMS, "tiled": True}})
    aws_gateway.admin.put("/workflows/w", {"defaultParams": {**PARAMS, "tiled": 1}})
    assert aws_gateway.ada.get("/workflows/w").json["workflow"]["defaultParams"]["tiled"] is not True


def test_every_instance_uses_a_change_at_once(
    aws_gateway: AwsGateway, aws: dict[str, str], aws_clients: Clients
) -> None:
    """A function that has cached the old template uses the new one for the next job."""
    add_workflow(aws_gateway)
    other = Gateway.on_aws(aws, aws_clients)
    for each in (aws_gateway, other):
        post(each.ada)
        received(aws_gateway)
    aws_gateway.admin.put("/workflows/w", {"workflowJson": GREETING})
    for each in (aws_gateway, other):
        assert post(each.ada).status == 202
        assert received(aws_gateway).message.prompt == {"1": {"class_type": "Greeting", "inputs": {"text": "a fox"}}}


@pytest.mark.parametrize("change", [("PUT", b'{"workflowJson": {"1": {"class_type": "B"}}}'), ("DELETE", b"")])
def test_an_accepted_job_keeps_its_template(
    aws_gateway: AwsGateway, aws: dict[str, str], aws_clients: Clients, change: tuple[str, bytes]
) -> None:
    """A job's template stays readable after its workflow is changed or deleted, also for other instances."""
    add_workflow(aws_gateway)
    key = {"Idempotency-Key": "k"}
    body = {"workflowId": "w", "inputs": {"prompt": "a fox", "seed": 5}}
    job_id = aws_gateway.ada.post("/jobs", body, key).json["jobId"]
    prompt = received(aws_gateway).message.prompt
    response = aws_gateway.admin.send(change[0], "/workflows/w", change[1])
    assert response.status in (200, 204)
    job = aws_gateway.wiring.jobs.get(job_id)
    assert job is not None
    template = Gateway.on_aws(aws, aws_clients).wiring.workflows.template(job.template_key)
    assert template.graph == GRAPH
    assert prompt is not None
    assert prompt["5"]["inputs"]["text"] == "a fox"
    assert aws_gateway.ada.get(f"/jobs/{job_id}").json["status"] == "queued"


def test_replaced_templates_expire(aws_gateway: AwsGateway) -> None:
    """The template of a replaced version or a deleted workflow is tagged to expire; its content stays."""
    add_workflow(aws_gateway)
    first = template_key_of(aws_gateway)
    aws_gateway.admin.put("/workflows/w", {"workflowJson": GREETING})
    second = template_key_of(aws_gateway)
    assert expiring_templates(aws_gateway) == {first: True, second: False}
    aws_gateway.admin.delete("/workflows/w")
    assert expiring_templates(aws_gateway) == {first: True, second: True}
    stored = aws_gateway.clients.s3.get_object(Bucket=aws_gateway.wiring.settings.bucket_name, Key=first)
    assert stored["ContentType"] == "application/json"
    assert b"KSampler" in stored["Body"].read()


def test_a_deleted_workflow_is_404(gateway: Gateway) -> None:
    """A deleted workflow cannot be read, listed, run, changed or deleted again."""
    add_workflow(gateway)
    response = gateway.admin.delete("/workflows/w")
    assert (response.status, response.body) == (204, b"")
    assert response.headers["x-correlation-id"]
    assert gateway.ada.get("/workflows/w").status == 404
    assert gateway.ada.get("/workflows").json["count"] == 0
    assert post(gateway.ada).status == 404
    assert gateway.admin.delete("/workflows/w").status == 404
    assert gateway.admin.put("/workflows/w", {"name": "x"}).status == 404


def test_a_reused_id_starts_at_version_1(gateway: Gateway) -> None:
    """A workflow created with a deleted id has version 1 and its own template, also in functions with a cache."""
    add_workflow(gateway)
    post(gateway.ada)
    received(gateway)
    old = template_key_of(gateway)
    gateway.admin.delete("/workflows/w")
    body = {"id": "w", "name": "W", "workflowJson": GREETING, "inputSchema": SCHEMA}
    assert gateway.admin.post("/workflows", body).json["workflow"]["version"] == 1
    assert template_key_of(gateway) != old
    post(gateway.ada)
    assert received(gateway).message.prompt == {"1": {"class_type": "Greeting", "inputs": {"text": "a fox"}}}


def test_a_change_fails_if_the_workflow_was_recreated(gateway: Gateway) -> None:
    """A change fails if the workflow was deleted and created again, although the version is equal."""
    add_workflow(gateway)
    workflows = gateway.wiring.workflows
    old = workflows.head("w")
    assert old is not None
    gateway.admin.delete("/workflows/w")
    add_workflow(gateway)
    with pytest.raises(StateConflictError):
        workflows.update(old, "x", "", workflows.template(old.template_key), BY)
    with pytest.raises(StateConflictError):
        workflows.delete(old, BY)
    assert gateway.ada.get("/workflows/w").json["workflow"]["name"] == "W"


def test_concurrent_changes_are_not_lost(aws_gateway: AwsGateway, aws: dict[str, str], aws_clients: Clients) -> None:
    """Eight threads change a workflow: each change is one version with one audit entry, or fails.

    A handler processes one request at a time in a process, so the threads call the use case.
    """
    add_workflow(aws_gateway)
    stores = [Gateway.on_aws(aws, aws_clients).wiring.workflows for _ in range(8)]

    def change(number: int) -> list[int]:
        versions = []
        for turn in range(3):
            params = {**PARAMS, "n": f"{number}.{turn}"}
            try:
                head, _ = update_workflow(
                    stores[number], "w", WorkflowChange(**{**NOTHING, "default_params": params}), BY
                )
            except StateConflictError:
                continue
            versions.append(head.version)
        return versions

    written = sorted(version for versions in run_concurrently(8, change) for version in versions)
    assert written
    assert written == list(range(2, len(written) + 2))
    workflow = aws_gateway.ada.get("/workflows/w").json["workflow"]
    assert workflow["version"] == written[-1]
    entries = aws_gateway.wiring.audit.newest(100, before=None)
    updates = [entry for entry in entries if entry.action == "workflow.updated"]
    assert len(updates) == len(written)
    # The hashes form an unbroken chain: each change was made to the result of the previous one.
    after = {entry.before: entry.after for entry in entries}
    state, steps = after.get(None), 0
    while state in after:
        state, steps = after[state], steps + 1
    assert steps == len(written)
    assert [key for key, gone in expiring_templates(aws_gateway).items() if not gone] == [template_key_of(aws_gateway)]


def test_a_conflicting_change_is_repeated(gateway: Gateway) -> None:
    """A change that conflicts once is repeated on the new version."""
    add_workflow(gateway)
    workflows = gateway.wiring.workflows

    class ConflictingWriter:
        """A store in which another request writes first, once per method."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  any attribute of the store
            return getattr(workflows, name)

        def update(self, *arguments: Any) -> Any:  # noqa: ANN401  the store's types
            if gateway.ada.get("/workflows/w").json["workflow"]["version"] == 1:
                gateway.admin.put("/workflows/w", {"name": "theirs"})
            return workflows.update(*arguments)

        def delete(self, *arguments: Any) -> None:  # noqa: ANN401  the store's types
            if gateway.ada.get("/workflows/w").json["workflow"]["version"] == 2:
                gateway.admin.put("/workflows/w", {"name": "theirs"})
            workflows.delete(*arguments)

    head, _ = update_workflow(ConflictingWriter(), "w", WorkflowChange(**{**NOTHING, "description": "ours"}), BY)
    assert (head.name, head.description, head.version) == ("theirs", "ours", 3)
    delete_workflow(ConflictingWriter(), "w", BY)
    with pytest.raises(WorkflowNotFoundError):
        delete_workflow(ConflictingWriter(), "w", BY)


def test_a_conflicting_change_of_a_given_version_fails(aws_gateway: AwsGateway) -> None:
    """A caller that sent a version gets the conflict instead of a repeated write."""
    add_workflow(aws_gateway)
    workflows = aws_gateway.wiring.workflows
    stale = workflows.head("w")

    class StaleReader:
        """A store that returns an outdated head."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401  any attribute of the store
            return getattr(workflows, name)

        def head(self, _workflow_id: str) -> Any:  # noqa: ANN401  the store's types
            return stale

    aws_gateway.admin.put("/workflows/w", {"name": "theirs"})
    with pytest.raises(StateConflictError, match="'w'"):
        update_workflow(StaleReader(), "w", WorkflowChange(**{**NOTHING, "name": "ours", "version": 1}), BY)
    assert aws_gateway.ada.get("/workflows/w").json["workflow"]["name"] == "theirs"


def test_a_change_succeeds_if_tagging_the_old_template_fails(
    aws_gateway: AwsGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If tagging the old template fails, the change succeeds and a warning is logged."""
    add_workflow(aws_gateway)

    def broken(_key: str, **_: object) -> None:
        raise ClientError({"Error": {"Code": "SlowDown"}}, "CopyObject")

    monkeypatch.setattr(aws_gateway.wiring.objects, "expire", broken)
    with caplog.at_level(logging.WARNING):
        assert aws_gateway.admin.put("/workflows/w", {"workflowJson": GREETING}).status == 200
        assert aws_gateway.admin.delete("/workflows/w").status == 204
    assert len([record for record in caplog.records if "stays in the bucket" in record.message]) == 2


def test_a_change_costs_few_calls(aws_gateway: AwsGateway) -> None:
    """A new name costs two calls and a new template four, plus the rate limit."""
    add_workflow(aws_gateway)
    aws_gateway.admin.put("/workflows/w", {"name": "x"})
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.admin.put("/workflows/w", {"name": "y"})
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem", "dynamodb.TransactWriteItems"]
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.admin.put("/workflows/w", {"workflowJson": GREETING})
    written = ["s3.PutObject", "dynamodb.TransactWriteItems", "s3.CopyObject"]
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem", *written]
