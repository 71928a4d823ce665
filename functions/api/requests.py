"""The JSON bodies of the API's requests, and limits on the rest of a request. tools.api_docs documents them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, field_validator

from functions.http.body import RequestBody
from gateway.domain.job import Priority
from gateway.domain.workflow_id import ID_PATTERN
from gateway.limits import (
    MAX_CALLBACK_URL_CHARACTERS,
    MAX_METADATA_BYTES,
    MAX_METADATA_ENTRIES,
    MAX_WORKFLOW_DESCRIPTION_CHARACTERS,
    MAX_WORKFLOW_NAME_CHARACTERS,
)

_WORKFLOW_ID = f"^{ID_PATTERN.pattern}$"


class JobRequest(RequestBody):
    """A job to run."""

    workflow_id: Annotated[str, Field(pattern=_WORKFLOW_ID, description="Id of the workflow to run.")]
    inputs: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="Inputs of the workflow, as in its `inputSchema`. Unknown inputs are rejected.",
        ),
    ]
    params: Annotated[
        dict[str, Any] | None,
        Field(description="Values that replace `defaultParams` of the workflow. Unknown names are rejected."),
    ] = None
    priority: Annotated[Priority, Field(strict=False, description="Queue in which the job waits.")] = Priority.NORMAL
    metadata: Annotated[
        dict[str, Any] | None,
        Field(
            max_length=MAX_METADATA_ENTRIES,
            description="Your own data, returned with the job. `requestId` in it is an idempotency key. Do not put "
            "prompts here: the metadata is stored in privacy mode too.",
        ),
    ] = None
    callback_url: Annotated[
        str | None,
        Field(
            max_length=MAX_CALLBACK_URL_CHARACTERS,
            description="Where to send a signed webhook when the job has ended: an https URL of a public host that the "
            "operator allows.",
        ),
    ] = None

    @field_validator("metadata")
    @classmethod
    def _check_size(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        # In bytes as they are sent: webhooks return the metadata.
        if value is not None and len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
            raise ValueError(f"Larger than {MAX_METADATA_BYTES} bytes.")
        return value


class WebhookTestRequest(RequestBody):
    """A webhook receiver to test."""

    url: Annotated[
        str,
        Field(
            max_length=MAX_CALLBACK_URL_CHARACTERS,
            description="URL of the receiver. The rules for a `callbackUrl` apply.",
        ),
    ]


_Name = Annotated[str, Field(min_length=1, max_length=MAX_WORKFLOW_NAME_CHARACTERS, description="Display name.")]
_Description = Annotated[
    str, Field(max_length=MAX_WORKFLOW_DESCRIPTION_CHARACTERS, description="What the workflow produces.")
]
_Graph = Annotated[
    dict[str, Any],
    Field(
        description="ComfyUI graph in API format, `{nodeId: {class_type, inputs}}`, with a `{{name}}` token for each "
        "input or parameter. Export it from ComfyUI with Workflow → Export (API)."
    ),
]
_InputSchema = Annotated[
    dict[str, Any],
    Field(
        description="Schema of the inputs: a JSON Schema (2020-12) of an object, or the short form "
        '`{"type": "object", "fields": {"steps": {"type": "integer", "default": 30, "min": 1, "max": 100}}}`. '
        "A `pattern` cannot have lookarounds or backreferences, and matches values of up to 4000 characters."
    ),
]
_DefaultParams = Annotated[
    dict[str, Any], Field(description="Values of the tokens that are not inputs. A job can replace them with `params`.")
]


class WorkflowRequest(RequestBody):
    """A new workflow."""

    id: Annotated[str, Field(pattern=_WORKFLOW_ID, description="Id of the workflow, which jobs refer to.")]
    name: _Name
    description: _Description = ""
    workflow_json: _Graph
    input_schema: _InputSchema | None = None
    default_params: _DefaultParams | None = None


class WorkflowChangeRequest(RequestBody):
    """Changes to a workflow. Fields that are missing or null stay unchanged."""

    name: _Name | None = None
    description: _Description | None = None
    workflow_json: _Graph | None = None
    input_schema: _InputSchema | None = None
    default_params: _DefaultParams | None = None
    version: Annotated[
        int | None,
        Field(ge=1, description="The version that you read. The request fails if it is not the current one."),
    ] = None
