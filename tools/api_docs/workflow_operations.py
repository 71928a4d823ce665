"""`/workflows` in words."""

from __future__ import annotations

from functions.api import responses
from functions.api.requests import WorkflowChangeRequest, WorkflowRequest
from gateway.errors import StateConflictError, WorkflowNotFoundError
from tools.api_docs import examples
from tools.api_docs.operation import WORKFLOW_ID, Access, Answer, Operation, Request, Tag

_WITH_WORKFLOW = {"workflowId": "$response.body#/workflow/id"}

WORKFLOW_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/workflows",
        id="listWorkflows",
        tag=Tag.WORKFLOWS,
        summary="List workflows",
        description="All of them, by id.",
        answers={
            200: Answer(
                description="The list.", body=responses.WorkflowListJson, examples={"list": examples.WORKFLOW_LIST}
            )
        },
    ),
    Operation(
        method="POST",
        path="/workflows",
        id="createWorkflow",
        tag=Tag.WORKFLOWS,
        summary="Register a workflow",
        description="Every `{{name}}` in the graph has to be an input or a parameter, and every link has to lead to a "
        "node. A value that is one token takes the input's own type; a token inside longer text is put in as text.",
        access=Access.ADMIN,
        request=Request(model=WorkflowRequest, example=examples.WORKFLOW_REQUEST),
        answers={
            201: Answer(
                description="Registered, as version 1.",
                body=responses.WorkflowAnswerJson,
                examples={"workflow": examples.WORKFLOW},
                links={
                    "getWorkflow": _WITH_WORKFLOW,
                    "updateWorkflow": _WITH_WORKFLOW,
                    "deleteWorkflow": _WITH_WORKFLOW,
                },
            )
        },
        errors=(StateConflictError,),
    ),
    Operation(
        method="GET",
        path="/workflows/{workflowId}",
        id="getWorkflow",
        tag=Tag.WORKFLOWS,
        summary="Read a workflow",
        description="With its graph, its inputs and its parameters.",
        parameters=(WORKFLOW_ID,),
        answers={
            200: Answer(
                description="The workflow.", body=responses.WorkflowAnswerJson, examples={"workflow": examples.WORKFLOW}
            )
        },
        errors=(WorkflowNotFoundError,),
    ),
    Operation(
        method="PUT",
        path="/workflows/{workflowId}",
        id="updateWorkflow",
        tag=Tag.WORKFLOWS,
        summary="Change a workflow",
        description="Jobs that were accepted before run as the workflow was then. Send the `version` that you saw, and "
        "the change is refused when somebody else was faster.",
        access=Access.ADMIN,
        parameters=(WORKFLOW_ID,),
        request=Request(model=WorkflowChangeRequest, example=examples.WORKFLOW_CHANGE),
        answers={
            200: Answer(
                description="Changed: its version is one higher.",
                body=responses.WorkflowAnswerJson,
                examples={"workflow": examples.WORKFLOW},
            )
        },
        errors=(WorkflowNotFoundError, StateConflictError),
    ),
    Operation(
        method="DELETE",
        path="/workflows/{workflowId}",
        id="deleteWorkflow",
        tag=Tag.WORKFLOWS,
        summary="Delete a workflow",
        description="Jobs that were accepted before still run.",
        access=Access.ADMIN,
        parameters=(WORKFLOW_ID,),
        answers={204: Answer(description="Deleted.")},
        errors=(WorkflowNotFoundError, StateConflictError),
    ),
)
