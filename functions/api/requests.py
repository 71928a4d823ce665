"""What callers may send: bodies, and bounds on the rest of a request. The API's document is made of them."""

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
    """A job to be run."""

    workflow_id: Annotated[str, Field(pattern=_WORKFLOW_ID, description="Which workflow to run.")]
    inputs: Annotated[
        dict[str, Any],
        Field(default_factory=dict, description="Its inputs, as its inputSchema has them; others are refused."),
    ]
    params: Annotated[
        dict[str, Any] | None, Field(description="In place of some of its defaultParams; others are refused.")
    ] = None
    priority: Annotated[Priority, Field(strict=False, description="Which of the three queues it waits in.")] = (
        Priority.NORMAL
    )
    metadata: Annotated[
        dict[str, Any] | None,
        Field(
            max_length=MAX_METADATA_ENTRIES,
            description="Your own, handed back with the job. `requestId` in it is an idempotency key. No place for "
            "prompts: privacy mode keeps it as well.",
        ),
    ] = None
    callback_url: Annotated[
        str | None,
        Field(
            max_length=MAX_CALLBACK_URL_CHARACTERS,
            description="Where its end is told, by a signed POST: an https URL of a host on the public internet, which "
            "the operator allows.",
        ),
    ] = None

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        # In bytes, as they travel: webhooks bring them back.
        if value is not None and len(json.dumps(value, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
            raise ValueError(f"Larger than {MAX_METADATA_BYTES} bytes.")
        return value


class WebhookTestRequest(RequestBody):
    """A receiver to try."""

    url: Annotated[
        str,
        Field(
            max_length=MAX_CALLBACK_URL_CHARACTERS,
            description="Where to send it; by the same rules as a `callbackUrl`.",
        ),
    ]


_Name = Annotated[str, Field(min_length=1, max_length=MAX_WORKFLOW_NAME_CHARACTERS, description="What lists show.")]
_Description = Annotated[
    str, Field(max_length=MAX_WORKFLOW_DESCRIPTION_CHARACTERS, description="What it makes, for a person.")
]
_Graph = Annotated[
    dict[str, Any],
    Field(
        description="ComfyUI's graph in API format, `{nodeId: {class_type, inputs}}`, with a `{{name}}` where an input "
        "or a parameter goes. ComfyUI writes it with Workflow → Export (API)."
    ),
]
_InputSchema = Annotated[
    dict[str, Any],
    Field(
        description="What inputs there are: a JSON Schema of an object (2020-12), or the short form "
        '`{"type": "object", "fields": {"steps": {"type": "integer", "default": 30, "min": 1, "max": 100}}}`. '
        "A `pattern` has no look-around and no back-references, and takes texts of up to 4000 characters."
    ),
]
_DefaultParams = Annotated[
    dict[str, Any], Field(description="Values for tokens that are no inputs; a job may send others as `params`.")
]


class WorkflowRequest(RequestBody):
    """A new workflow."""

    id: Annotated[str, Field(pattern=_WORKFLOW_ID, description="What jobs name it by.")]
    name: _Name
    description: _Description = ""
    workflow_json: _Graph
    input_schema: _InputSchema | None = None
    default_params: _DefaultParams | None = None


class WorkflowChangeRequest(RequestBody):
    """What is to become of a workflow. What is left out, or null, stays as it is."""

    name: _Name | None = None
    description: _Description | None = None
    workflow_json: _Graph | None = None
    input_schema: _InputSchema | None = None
    default_params: _DefaultParams | None = None
    version: Annotated[
        int | None,
        Field(ge=1, description="The version that you saw; the change is refused if it is no longer the newest."),
    ] = None
