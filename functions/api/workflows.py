"""`/workflows` and `/capabilities`: what can be run."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aws_lambda_powertools.event_handler import Response

from functions.api.requests import WorkflowChangeRequest, WorkflowRequest
from functions.api.routes import ROUTES
from functions.http.body import parse_body
from functions.http.responses import json_response
from functions.use_cases.capabilities import get_capabilities
from functions.use_cases.delete_workflow import delete_workflow
from functions.use_cases.get_workflow import get_workflow, list_workflows
from functions.use_cases.register_workflow import NewWorkflow, register_workflow
from functions.use_cases.update_workflow import WorkflowChange, update_workflow
from functions.wiring.api import entry_point
from functions.wiring.workflows import WorkflowWiring
from gateway.domain import timestamps
from gateway.domain.audit import Authorship

if TYPE_CHECKING:
    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from gateway.domain.workflow import WorkflowHead, WorkflowTemplate


def operations(wiring: WorkflowWiring) -> Operations:
    """Make the handlers."""
    workflows = wiring.workflows

    def handle_list_workflows(_request: Request) -> Response[str]:
        heads = [_head_json(head) for head in list_workflows(workflows)]
        body: responses.WorkflowListJson = {"workflows": heads, "count": len(heads)}
        return json_response(HTTPStatus.OK, body)

    def handle_create_workflow(request: Request) -> Response[str]:
        new = NewWorkflow(**dict(parse_body(request, WorkflowRequest)))
        head, template = register_workflow(workflows, new, _authorship(request))
        return json_response(HTTPStatus.CREATED, _workflow_json(head, template))

    def handle_get_workflow(_request: Request, workflow_id: str) -> Response[str]:
        head, template = get_workflow(workflows, workflow_id)
        return json_response(HTTPStatus.OK, _workflow_json(head, template))

    def handle_update_workflow(request: Request, workflow_id: str) -> Response[str]:
        change = WorkflowChange(**dict(parse_body(request, WorkflowChangeRequest)))
        head, template = update_workflow(workflows, workflow_id, change, _authorship(request))
        return json_response(HTTPStatus.OK, _workflow_json(head, template))

    def handle_delete_workflow(request: Request, workflow_id: str) -> Response[str]:
        delete_workflow(workflows, workflow_id, _authorship(request))
        return Response(HTTPStatus.NO_CONTENT)

    def handle_get_capabilities(_request: Request) -> Response[str]:
        capabilities = get_capabilities(workflows, wiring.executors, wiring.clock)
        body: responses.CapabilitiesJson = {
            "workflows": [
                {"id": head.id, "name": head.name, "description": head.description} for head in capabilities.workflows
            ],
            "models": {folder: models.names for folder, models in capabilities.models.items()},
            "maxSize": wiring.limits.max_image_size,
            "maxBatch": wiring.limits.max_batch_size,
            "formats": capabilities.formats,
            "storageProvider": "s3",
        }
        return json_response(HTTPStatus.OK, body)

    return {
        "listWorkflows": handle_list_workflows,
        "createWorkflow": handle_create_workflow,
        "getWorkflow": handle_get_workflow,
        "updateWorkflow": handle_update_workflow,
        "deleteWorkflow": handle_delete_workflow,
        "getCapabilities": handle_get_capabilities,
    }


def _authorship(request: Request) -> Authorship:
    return Authorship(actor=request.caller, correlation_id=request.correlation_id)


def _head_json(head: WorkflowHead) -> responses.WorkflowHeadJson:
    return {
        "id": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "createdAt": timestamps.to_text(head.created_at),
        "updatedAt": timestamps.to_text(head.updated_at),
    }


def _workflow_json(head: WorkflowHead, template: WorkflowTemplate) -> responses.WorkflowAnswerJson:
    return {
        "workflow": {
            **_head_json(head),
            "workflowJson": template.graph,
            "inputSchema": template.input_schema,
            "defaultParams": template.default_params,
        }
    }


handler = entry_point("workflows", ROUTES, operations, WorkflowWiring)
