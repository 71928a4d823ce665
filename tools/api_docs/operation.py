"""How the API document describes an operation: the types of the tables next to this module.

A route declares method, path, operation id, summary, access and types. The tables add what only readers of the
document need: texts, parameters, examples, and errors that do not follow from the route.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from gateway.domain.workflow_id import ID_PATTERN
from gateway.limits import DEFAULT_PAGE_ENTRIES, MAX_PAGE_ENTRIES
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.errors import RequestError


class Tag(Enum):
    """A section of the document: name and description."""

    JOBS = ("Jobs", "Run workflows and follow them. Users see their own jobs only; admins see all jobs.")
    OUTPUTS = ("Outputs", "The files that jobs produced.")
    WEBHOOKS = ("Webhooks", "Notifications about ended jobs, sent to the `callbackUrl` of the job.")
    WORKFLOWS = ("Workflows", "Templates of ComfyUI graphs, each with a schema for its inputs.")
    GATEWAY = ("Gateway", "The gateway itself: health, capabilities, statistics, audit log and this reference.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the path, the query string or a header. `where`: OpenAPI's `in`."""

    name: str
    where: str
    schema: Mapping[str, Any]
    description: str
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseDoc:
    """A response without an error. `media`: its media types other than the JSON that the route declares."""

    description: str
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    media: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # operation id: parameters for it


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationDoc:
    """The texts of an operation. `errors`: those that follow neither from the route nor from the parameters."""

    tag: Tag
    description: str
    parameters: tuple[Parameter, ...] = ()
    request_example: Mapping[str, Any] | None = None
    responses: Mapping[int, ResponseDoc]
    errors: tuple[type[RequestError], ...] = ()


def query(name: str, schema: Mapping[str, Any], description: str) -> Parameter:
    """Describe a parameter of the query string."""
    return Parameter(name=name, where="query", schema=schema, description=description)


WORKFLOW_ID_SCHEMA = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}

JOB_ID = Parameter(
    name="jobId",
    where="path",
    schema={"type": "string", "format": "uuid"},
    description="Id of the job.",
    example=examples.JOB_ID,
)
WORKFLOW_ID = Parameter(
    name="workflowId",
    where="path",
    schema=WORKFLOW_ID_SCHEMA,
    description="Id of the workflow.",
    example=examples.WORKFLOW_ID,
)
LIMIT = query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_ENTRIES, "default": DEFAULT_PAGE_ENTRIES},
    "Maximum number of entries on the page.",
)
CURSOR = query("cursor", {"type": "string"}, "The `nextCursor` of the previous page, unchanged.")
