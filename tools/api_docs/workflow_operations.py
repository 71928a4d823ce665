"""Texts of the operations on workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import StateConflictError, WorkflowNotFoundError
from tools.api_docs import examples
from tools.api_docs.operation import WORKFLOW_ID, OperationDoc, ResponseDoc, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

_WITH_WORKFLOW = {"workflowId": "$response.body#/workflow/id"}

WORKFLOW_OPERATIONS: Mapping[str, OperationDoc] = {
    "listWorkflows": OperationDoc(
        tag=Tag.WORKFLOWS,
        description="Returns all workflows, sorted by id.",
        responses={200: ResponseDoc(description="The workflows.", examples={"list": examples.WORKFLOW_LIST})},
    ),
    "createWorkflow": OperationDoc(
        tag=Tag.WORKFLOWS,
        description="Every `{{name}}` token in the graph must be an input or a parameter, and every link must lead to "
        "an existing node. A value that consists of one token gets the type of the input; a token inside a longer "
        "string is replaced by text.",
        request_example=examples.WORKFLOW_REQUEST,
        responses={
            201: ResponseDoc(
                description="The workflow has been registered, as version 1.",
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
    "getWorkflow": OperationDoc(
        tag=Tag.WORKFLOWS,
        description="Returns the workflow with its graph, input schema and default parameters.",
        parameters=(WORKFLOW_ID,),
        responses={200: ResponseDoc(description="The workflow.", examples={"workflow": examples.WORKFLOW})},
        errors=(WorkflowNotFoundError,),
    ),
    "updateWorkflow": OperationDoc(
        tag=Tag.WORKFLOWS,
        description="Changes the fields that are sent. Jobs accepted before the change run the previous version. Send "
        "the `version` that you read, and the request fails with 409 if the workflow has changed since.",
        parameters=(WORKFLOW_ID,),
        request_example=examples.WORKFLOW_CHANGE,
        responses={
            200: ResponseDoc(
                description="The updated workflow. Its version has increased by one.",
                examples={"workflow": examples.WORKFLOW},
            )
        },
        errors=(WorkflowNotFoundError, StateConflictError),
    ),
    "deleteWorkflow": OperationDoc(
        tag=Tag.WORKFLOWS,
        description="Deletes the workflow. Jobs accepted before still run.",
        parameters=(WORKFLOW_ID,),
        responses={204: ResponseDoc(description="The workflow has been deleted.")},
        errors=(WorkflowNotFoundError, StateConflictError),
    ),
}
