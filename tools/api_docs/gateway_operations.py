"""The paths about the gateway itself, in words."""

from __future__ import annotations

from functions.api import responses
from gateway.aws.resources import JOB_CHANGES
from tools.api_docs import examples
from tools.api_docs.operation import CURSOR, LIMIT, Access, Answer, Operation, Parameter, Tag

_UNCHANGED = Answer(description="The one that you have, by If-None-Match, is still right.", headers=("ETag",))
_IF_NONE_MATCH = Parameter(
    name="If-None-Match", where="header", schema={"type": "string"}, description="The `ETag` of the one that you have."
)

GATEWAY_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/capabilities",
        id="getCapabilities",
        tag=Tag.GATEWAY,
        summary="See what can be done",
        description="Workflows in short, models, and the bounds that hold whatever a workflow's schema says.",
        answers={
            200: Answer(
                description="The capabilities.",
                body=responses.CapabilitiesJson,
                examples={"usual": examples.CAPABILITIES},
            )
        },
    ),
    Operation(
        method="GET",
        path="/health",
        id="getHealth",
        tag=Tag.GATEWAY,
        summary="See whether it is up",
        description="And whether a ComfyUI answers. Who is signed in is also told of every executor: where its ComfyUI "
        "is, on what device it computes, and which models it has.",
        access=Access.ANYBODY_BUT_MORE,
        answers={
            200: Answer(
                description="It is up.",
                body=responses.HealthJson,
                examples={"anybody": examples.HEALTH, "signedIn": examples.HEALTH_SIGNED_IN},
            )
        },
    ),
    Operation(
        method="GET",
        path="/audit",
        id="listAudit",
        tag=Tag.GATEWAY,
        summary="Read what admins did",
        description="Newest first. Entries hold hashes of what was changed, never the thing itself.",
        access=Access.ADMIN,
        parameters=(LIMIT, CURSOR),
        answers={
            200: Answer(description="A page.", body=responses.AuditListJson, examples={"page": examples.AUDIT_LIST})
        },
    ),
    Operation(
        method="GET",
        path="/stats",
        id="getStats",
        tag=Tag.GATEWAY,
        summary="See how jobs fare",
        description="Counts and means of all owners' jobs, for as long as jobs are kept. They are kept up to date with "
        "every change of a job instead of being counted when you ask, and so what you see may be "
        f"{JOB_CHANGES.window_seconds} seconds old, in a rush a little more.",
        access=Access.ADMIN,
        answers={200: Answer(description="The counts.", body=responses.StatsJson, examples={"usual": examples.STATS})},
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        id="getOpenApi",
        tag=Tag.GATEWAY,
        summary="Get this description",
        description="OpenAPI 3.1, made from the code.",
        access=Access.ANYBODY,
        parameters=(_IF_NONE_MATCH,),
        answers={
            200: Answer(description="The document.", media=("application/json",), headers=("ETag",)),
            304: _UNCHANGED,
        },
    ),
    Operation(
        method="GET",
        path="/docs",
        id="getDocs",
        tag=Tag.GATEWAY,
        summary="Read this description",
        description="As a page for a browser, which loads nothing from elsewhere.",
        access=Access.ANYBODY,
        parameters=(_IF_NONE_MATCH,),
        answers={
            200: Answer(description="The page.", media=("text/html",), headers=("ETag",)),
            304: _UNCHANGED,
        },
    ),
)
