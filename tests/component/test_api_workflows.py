"""`POST /workflows`, `GET /workflows` and `GET /workflows/{id}`."""

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
    """The responses to registering, reading and listing agree; a user can read an admin's workflow."""
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
    """Without workflows, the list is empty."""
    assert gateway.ada.get("/workflows").json == {"workflows": [], "count": 0}


def test_optional_fields_can_be_omitted(gateway: Gateway) -> None:
    """A graph without tokens needs no schema and no parameters."""
    body = {"id": "w", "name": "W", "workflowJson": {"1": {"class_type": "A", "inputs": {}}}}
    workflow = gateway.admin.post("/workflows", body).json["workflow"]
    assert (workflow["description"], workflow["defaultParams"]) == ("", {})
    assert workflow["inputSchema"]["properties"] == {}
    assert gateway.ada.post("/jobs", {"workflowId": "w", "inputs": {}}).status == 202


def test_a_used_id_is_409(gateway: Gateway) -> None:
    """A used id is 409, and the first workflow stays unchanged."""
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
def test_an_invalid_workflow_is_400(aws_gateway: AwsGateway, fields: dict[str, Any], path: str) -> None:
    """A problem is reported by its path, and nothing is stored."""
    response = aws_gateway.admin.post("/workflows", {**BODY, **fields})
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")
    assert path in [error["path"] for error in response.json["details"]["errors"]]
    assert list(aws_gateway.wiring.workflows.heads()) == []
    assert "Contents" not in aws_gateway.clients.s3.list_objects_v2(Bucket=aws_gateway.wiring.settings.bucket_name)


def test_infinity_is_400(gateway: Gateway) -> None:
    """A number that JSON cannot represent is 400: it would make later responses invalid."""
    body = json.dumps({**BODY, "defaultParams": {"checkpoint": "x", "a": "HERE"}}).replace('"HERE"', "1e999")
    assert gateway.admin.post("/workflows", body.encode()).status == 400


def test_the_last_of_duplicate_keys_counts(gateway: Gateway) -> None:
    """For a duplicate key, the last value is both validated and stored."""
    good = '"1": {"class_type": "Good", "inputs": {"a": ["1", 0]}}'
    bad = good.replace('["1"', '["9"')
    start = '{"id": "w", "name": "W", "workflowJson": {'
    assert gateway.admin.post("/workflows", f"{start}{good}, {bad}}}}}".encode()).status == 400
    workflow = gateway.admin.post("/workflows", f"{start}{bad}, {good}}}}}".encode()).json["workflow"]
    assert workflow["workflowJson"] == {"1": {"class_type": "Good", "inputs": {"a": ["1", 0]}}}


def test_many_problems_make_a_short_response(gateway: Gateway) -> None:
    """The response to a megabyte of problems stays below Lambda's limit."""
    graph = {"x" * 100_000: {"class_type": "A", "inputs": {"a": "{{}}" * 100_000}}}
    response = gateway.admin.post("/workflows", {**BODY, "workflowJson": graph})
    assert response.status == 400
    assert len(response.body) < 100_000


@pytest.mark.parametrize("workflow_id", ["unknown", "..", "%2e%2e", "a%2Fb", "x" * 3000, "é", "WORKFLOW"])
def test_an_unknown_workflow_is_404(gateway: Gateway, workflow_id: str) -> None:
    """Any unknown or invalid id is 404."""
    add_workflow(gateway)
    response = gateway.ada.get(f"/workflows/{workflow_id}")
    assert (response.status, response.json["error"]) == (404, "WORKFLOW_NOT_FOUND")


def test_a_warm_function_makes_two_calls_per_request(aws_gateway: AwsGateway) -> None:
    """The calls are the rate limit and one read; a template is read once per process."""
    add_workflow(aws_gateway)
    aws_gateway.ada.get("/workflows/w")
    with aws_calls(aws_gateway.clients) as calls:
        aws_gateway.ada.get("/workflows")
        aws_gateway.ada.get("/workflows/w")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.Query", "dynamodb.UpdateItem", "dynamodb.GetItem"]


def test_a_free_text_cannot_name_a_file_of_the_host(gateway: Gateway) -> None:
    """Registration and update are refused with 400, and the message names node, class and input."""
    graph = {"7": {"class_type": "LoadImage", "inputs": {"image": "{{image}}"}}}
    body = {"name": "W", "workflowJson": graph, "inputSchema": {"fields": {"image": {"type": "string"}}}}
    refused = gateway.admin.post("/workflows", {"id": "loads", **body})
    assert (refused.status, refused.json["error"]) == (400, "VALIDATION_ERROR")
    assert "workflowJson.7.inputs.image" in str(refused.json)
    listed = {"fields": {"image": {"type": "string", "enum": ["a.png"]}}}
    assert gateway.admin.post("/workflows", {"id": "loads", **body, "inputSchema": listed}).status == 201
    assert gateway.admin.put("/workflows/loads", body).status == 400
