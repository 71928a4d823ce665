"""`/workflows` and `/capabilities`: what can be run."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from functions.api.requests import WorkflowChangeRequest, WorkflowRequest
from functions.http import body, router
from functions.http.auth import caller_of, require_admin
from functions.use_cases.executors import offered_models, recent_heartbeats
from functions.use_cases.update_workflow import WorkflowChange, delete, update
from functions.wiring.api import entry_point
from functions.wiring.workflows import WorkflowWiring
from gateway.domain import timestamps
from gateway.domain.audit import Authorship
from gateway.domain.file_names import SAVED_FORMATS
from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
from gateway.domain.workflow_id import ID_PATTERN
from gateway.errors import WorkflowNotFoundError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.wiring.api import Handler


def make_handler(wiring: WorkflowWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])
    workflows, executors = wiring.workflows, wiring.executors

    @app.get("/workflows")
    def list_workflows() -> Response[str]:
        heads = [_head_view(head) for head in workflows.heads()]
        answer: responses.WorkflowListJson = {"workflows": heads, "count": len(heads)}
        return router.json_response(HTTPStatus.OK, answer)

    @app.post("/workflows")
    def create_workflow() -> Response[str]:
        require_admin(app, "create workflows")
        request = body.read(app.current_event, WorkflowRequest)
        template = WorkflowTemplate.register(request.workflow_json, request.input_schema, request.default_params)
        head = workflows.create(request.id, request.name, request.description, template, _authorship(app))
        router.logger.info("workflow created", action="workflow_created", workflow_id=head.id)
        return router.json_response(HTTPStatus.CREATED, _answer(head, template))

    @app.get("/workflows/<workflow_id>")
    def get_workflow(workflow_id: str) -> Response[str]:
        head = workflows.head(_checked(workflow_id))
        if head is None:
            raise WorkflowNotFoundError(workflow_id)
        return router.json_response(HTTPStatus.OK, _answer(head, workflows.template(head.template_key)))

    @app.put("/workflows/<workflow_id>")
    def update_workflow(workflow_id: str) -> Response[str]:
        require_admin(app, "update workflows")
        request = body.read(app.current_event, WorkflowChangeRequest)
        change = WorkflowChange(**dict(request))
        head, template = update(workflows, _checked(workflow_id), change, _authorship(app))
        router.logger.info("workflow updated", action="workflow_updated", workflow_id=head.id, version=head.version)
        return router.json_response(HTTPStatus.OK, _answer(head, template))

    @app.delete("/workflows/<workflow_id>")
    def delete_workflow(workflow_id: str) -> Response[str]:
        require_admin(app, "delete workflows")
        delete(workflows, _checked(workflow_id), _authorship(app))
        router.logger.info("workflow deleted", action="workflow_deleted", workflow_id=workflow_id)
        return Response(HTTPStatus.NO_CONTENT)

    @app.get("/capabilities")
    def get_capabilities() -> Response[str]:
        limits = wiring.limits
        offered = offered_models(recent_heartbeats(executors), executors.models())
        answer: responses.CapabilitiesJson = {
            "workflows": [
                {"id": head.id, "name": head.name, "description": head.description} for head in workflows.heads()
            ],
            "models": {folder: models.names for folder, models in offered.items()},
            "maxSize": limits.max_image_size,
            "maxBatch": limits.max_batch_size,
            "formats": SAVED_FORMATS,
            "storageProvider": "s3",
        }
        return router.json_response(HTTPStatus.OK, answer)

    router.refuse_other_methods(
        app,
        {
            "/workflows": ("GET", "POST"),
            "/workflows/<workflow_id>": ("GET", "PUT", "DELETE"),
            "/capabilities": ("GET",),
        },
    )

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _checked(workflow_id: str) -> str:
    # What can be no id is not asked for.
    if not ID_PATTERN.fullmatch(workflow_id):
        raise WorkflowNotFoundError(workflow_id)
    return workflow_id


def _authorship(app: APIGatewayRestResolver) -> Authorship:
    return Authorship(actor=caller_of(app), correlation_id=router.correlation_id_of(app))


def _head_view(head: WorkflowHead) -> responses.WorkflowHeadJson:
    return {
        "id": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "createdAt": timestamps.to_text(head.created_at),
        "updatedAt": timestamps.to_text(head.updated_at),
    }


def _answer(head: WorkflowHead, template: WorkflowTemplate) -> responses.WorkflowAnswerJson:
    return {
        "workflow": {
            **_head_view(head),
            "workflowJson": template.graph,
            "inputSchema": template.input_schema,
            "defaultParams": template.default_params,
        }
    }


handler = entry_point(make_handler, WorkflowWiring)
