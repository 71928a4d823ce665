"""`/workflows`: registering, listing and reading."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.component.api import AwsGateway, aws_calls
from tests.component.workflows import GRAPH, PARAMS, SCHEMA, add_workflow

if TYPE_CHECKING:
    from tests.component.api import Gateway

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
BODY: dict[str, Any] = {
    "id": "my_workflow-1",
    "name": "Füchse",
    "description": "of the forest",
    "workflowJson": GRAPH,
    "inputSchema": SCHEMA,
    "defaultParams": PARAMS,
}


def test_a_workflow_is_registered_listed_and_read(gateway: Gateway) -> None:
    """All three answers are the contract's, and agree; a user may read what an admin registered."""
    response = gateway.admin.post("/workflows", BODY)
    assert response.status == 201
    workflow = response.json["workflow"]
    assert {name: workflow[name] for name in ("id", "name", "description", "workflowJson", "defaultParams")} == {
        name: BODY[name] for name in ("id", "name", "description", "workflowJson", "defaultParams")
    }
    assert workflow["version"] == 1
    assert INSTANT.fullmatch(workflow["createdAt"])
    assert workflow["updatedAt"] == workflow["createdAt"]
    assert workflow["inputSchema"]["required"] == ["prompt"]
    assert workflow["inputSchema"]["properties"]["steps"]["maximum"] == 100
    assert gateway.ada.get("/workflows/my_workflow-1").json == {"workflow": workflow}
    head = {name: workflow[name] for name in ("id", "name", "description", "version", "createdAt", "updatedAt")}
    assert gateway.ada.get("/workflows").json == {"workflows": [head], "count": 1}


def test_the_list_is_empty_at_first(gateway: Gateway) -> None:
    """No workflow is an empty list, not an error."""
    assert gateway.ada.get("/workflows").json == {"workflows": [], "count": 0}


def test_the_optional_fields_may_be_left_out(gateway: Gateway) -> None:
    """A graph without tokens needs neither schema nor parameters."""
    body = {"id": "w", "name": "W", "workflowJson": {"1": {"class_type": "A", "inputs": {}}}}
    workflow = gateway.admin.post("/workflows", body).json["workflow"]
    assert (workflow["description"], workflow["defaultParams"]) == ("", {})
    assert workflow["inputSchema"]["properties"] == {}
    assert gateway.ada.post("/jobs", {"workflowId": "w", "inputs": {}}).status == 202


def test_an_id_that_is_taken_is_409(gateway: Gateway) -> None:
    """The first workflow stays as it was."""
    gateway.admin.post("/workflows", BODY)
    response = gateway.admin.post("/workflows", {**BODY, "name": "other"})
    assert (response.status, response.json["error"]) == (409, "CONFLICT")
    assert "my_workflow-1" in response.json["message"]
    assert gateway.ada.get("/workflows/my_workflow-1").json["workflow"]["name"] == "Füchse"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": "../x"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": ""}, "id"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"description": "x" * 2001}, "description"),
        ({"workflowJson": []}, "workflowJson"),
        ({"workflowJson": {"nodes": [], "links": []}}, "workflowJson"),
        ({"workflowJson": {"1": {"class_type": "A", "inputs": {"a": "{{unknown}}"}}}}, "workflowJson"),
        ({"workflowJson": {"1": {"class_type": "A", "inputs": {"a": ["1", "{{steps}}"]}}}}, "workflowJson.1.inputs.a"),
        ({"inputSchema": {"properties": {"a": {"$ref": "http://127.0.0.1/"}}}}, "inputSchema"),
        ({"defaultParams": {"checkpoint": []}}, "defaultParams.checkpoint"),
        ({"version": 2}, "version"),
    ],
)
def test_what_is_wrong_is_400(aws_gateway: AwsGateway, fields: dict[str, Any], path: str) -> None:
    """A mistake is named by its path, and nothing is stored of it."""
    response = aws_gateway.admin.post("/workflows", {**BODY, **fields})
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert path in [error["path"] for error in response.json["details"]["errors"]]
    assert list(aws_gateway.wiring.workflows.heads()) == []
    assert "Contents" not in aws_gateway.clients.s3.list_objects_v2(Bucket=aws_gateway.wiring.settings.bucket_name)


def test_infinity_is_not_stored(gateway: Gateway) -> None:
    """A number that JSON cannot say would make every later answer invalid."""
    body = json.dumps({**BODY, "defaultParams": {"checkpoint": "x", "a": "HERE"}}).replace('"HERE"', "1e999")
    assert gateway.admin.post("/workflows", body.encode()).status == 400


def test_of_a_key_that_is_written_twice_the_last_counts(gateway: Gateway) -> None:
    """What is checked is what is kept: nothing passes behind a namesake."""
    good = '"1": {"class_type": "Good", "inputs": {"a": ["1", 0]}}'
    bad = good.replace('["1"', '["9"')
    start = '{"id": "w", "name": "W", "workflowJson": {'
    assert gateway.admin.post("/workflows", f"{start}{good}, {bad}}}}}".encode()).status == 400
    workflow = gateway.admin.post("/workflows", f"{start}{bad}, {good}}}}}".encode()).json["workflow"]
    assert workflow["workflowJson"] == {"1": {"class_type": "Good", "inputs": {"a": ["1", 0]}}}


def test_a_flood_of_problems_is_a_short_answer(gateway: Gateway) -> None:
    """However many mistakes a megabyte holds, the answer fits Lambda's."""
    graph = {"x" * 100_000: {"class_type": "A", "inputs": {"a": "{{}}" * 100_000}}}
    response = gateway.admin.post("/workflows", {**BODY, "workflowJson": graph})
    assert response.status == 400
    assert len(response.body) < 100_000


@pytest.mark.parametrize("workflow_id", ["unknown", "..", "%2e%2e", "a%2Fb", "x" * 3000, "é", "WORKFLOW"])
def test_an_unknown_workflow_is_404(gateway: Gateway, workflow_id: str) -> None:
    """Whatever stands in place of the id."""
    add_workflow(gateway)
    response = gateway.ada.get(f"/workflows/{workflow_id}")
    assert (response.status, response.json["error"]) == (404, "WORKFLOW_NOT_FOUND")


def test_a_warm_function_makes_two_calls(aws_gateway: AwsGateway) -> None:
    """One counts the request; the list is one query, and a template is read only once."""
    add_workflow(aws_gateway)
    aws_gateway.ada.get("/workflows/w")
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.ada.get("/workflows")
        aws_gateway.ada.get("/workflows/w")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query", "dynamodb.UpdateItem", "dynamodb.GetItem"]
