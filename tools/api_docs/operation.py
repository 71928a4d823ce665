"""What can be said of an operation of the API: the words in which the tables beside this file are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from gateway.domain.workflow_id import ID_PATTERN
from gateway.limits import DEFAULT_PAGE_ENTRIES, MAX_PAGE_ENTRIES
from tools.api_docs import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.http.body import RequestBody
    from gateway.errors import RequestError


class Access(Enum):
    """Who may do it."""

    ANYBODY = "anybody"
    ANYBODY_BUT_MORE = "anybody; more to those who are signed in"
    SIGNED_IN = "signed in"
    ADMIN = "admin"


class Tag(Enum):
    """What operations are listed under."""

    JOBS = ("Jobs", "Run workflows, and see what becomes of them. A user sees its own jobs only, an admin all.")
    OUTPUTS = ("Outputs", "The files that jobs produced.")
    WEBHOOKS = ("Webhooks", "Ends of jobs, told to the `callbackUrl` that came with them.")
    WORKFLOWS = ("Workflows", "What can be run: templates of ComfyUI graphs with checked inputs.")
    GATEWAY = ("Gateway", "The gateway itself: how it is, what it can do, what was done to it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """Something in the path, the query string or a header. `where`: OpenAPI's `in`."""

    name: str
    where: str
    schema: Mapping[str, Any]
    description: str
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A JSON body."""

    model: type[RequestBody]
    example: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """No error. `body`: its type in functions.api.responses; `media`: media types beside or instead of it."""

    description: str
    body: type | None = None
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    media: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # operation id → parameters for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method on a path. `errors`: those that do not follow from the other fields."""

    method: str
    path: str
    id: str
    tag: Tag
    summary: str
    description: str
    access: Access = Access.SIGNED_IN
    parameters: tuple[Parameter, ...] = ()
    request: Request | None = None
    answers: Mapping[int, Answer]
    errors: tuple[type[RequestError], ...] = ()


def query(name: str, schema: Mapping[str, Any], description: str) -> Parameter:
    """Describe a parameter of the query string."""
    return Parameter(name=name, where="query", schema=schema, description=description)


WORKFLOW_ID_SCHEMA = {"type": "string", "pattern": f"^{ID_PATTERN.pattern}$"}

JOB_ID = Parameter(
    name="jobId",
    where="path",
    schema={"type": "string", "format": "uuid"},
    description="The job's id.",
    example=examples.JOB_ID,
)
WORKFLOW_ID = Parameter(
    name="workflowId",
    where="path",
    schema=WORKFLOW_ID_SCHEMA,
    description="The workflow's id.",
    example=examples.WORKFLOW_ID,
)
LIMIT = query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_ENTRIES, "default": DEFAULT_PAGE_ENTRIES},
    "The most entries that the page may have.",
)
CURSOR = query("cursor", {"type": "string"}, "`nextCursor` of the page before, as it was.")
