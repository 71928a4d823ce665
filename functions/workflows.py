"""`/workflows`: what can be run."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from functions import body, http
from functions.auth import require_admin
from functions.wiring import Wiring, entry_point
from gateway.domain import instant
from gateway.domain.workflow import ID_PATTERN, WorkflowHead, WorkflowTemplate
from gateway.errors import WorkflowNotFoundError

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring import Handler


class WorkflowRequest(body.RequestBody):
    """`POST /workflows`."""

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN.pattern}$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    description: Annotated[str, Field(max_length=2000)] = ""
    workflow_json: dict[str, Any]
    input_schema: dict[str, Any] | None = None
    default_params: dict[str, Any] | None = None


def make_handler(wiring: Wiring) -> Handler:
    """Put the function together."""
    app = http.make_app()
    app.use([wiring.authenticator.middleware])
    workflows = wiring.workflows

    @app.get("/workflows")
    def list_workflows() -> Response[str]:
        heads = [_head_view(head) for head in workflows.heads()]
        return http.json_answer(HTTPStatus.OK, {"workflows": heads, "count": len(heads)})

    @app.post("/workflows")
    def create_workflow() -> Response[str]:
        require_admin(app, "create workflows")
        request = body.read(app.current_event, WorkflowRequest)
        template = WorkflowTemplate.register(request.workflow_json, request.input_schema, request.default_params)
        head = workflows.create(request.id, request.name, request.description, template)
        http.logger.info("workflow created", action="workflow_created", workflow_id=head.id)
        return http.json_answer(HTTPStatus.CREATED, {"workflow": _view(head, template)})

    @app.get("/workflows/<workflow_id>")
    def get_workflow(workflow_id: str) -> Response[str]:
        head = workflows.head(workflow_id) if ID_PATTERN.fullmatch(workflow_id) else None
        if head is None:
            raise WorkflowNotFoundError(workflow_id)
        return http.json_answer(HTTPStatus.OK, {"workflow": _view(head, workflows.template(head.template_key))})

    http.refuse_other_methods(app, {"/workflows": ("GET", "POST"), "/workflows/<workflow_id>": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return http.serve(app, event, context)

    return handler


def _head_view(head: WorkflowHead) -> dict[str, Any]:
    return {
        "id": head.id,
        "name": head.name,
        "description": head.description,
        "version": head.version,
        "createdAt": instant.to_text(head.created_at),
        "updatedAt": instant.to_text(head.updated_at),
    }


def _view(head: WorkflowHead, template: WorkflowTemplate) -> dict[str, Any]:
    return {
        **_head_view(head),
        "workflowJson": template.graph,
        "inputSchema": template.input_schema,
        "defaultParams": template.default_params,
    }


handler = entry_point(make_handler)
