"""Texts of the operations on the gateway itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.aws.resources import JOB_CHANGES
from tools.api_docs import examples
from tools.api_docs.operation import CURSOR, LIMIT, OperationDoc, Parameter, ResponseDoc, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNCHANGED = ResponseDoc(description="Your copy is current.", headers=("ETag",))
_IF_NONE_MATCH = Parameter(
    name="If-None-Match", where="header", schema={"type": "string"}, description="The `ETag` of your copy."
)

GATEWAY_OPERATIONS: Mapping[str, OperationDoc] = {
    "getCapabilities": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns the workflows in short form, the available models, and the limits that apply to all "
        "workflows.",
        responses={200: ResponseDoc(description="The capabilities.", examples={"usual": examples.CAPABILITIES})},
    ),
    "getHealth": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns whether the gateway is up and whether any ComfyUI is reachable. Authenticated callers "
        "also get a list of executors: the address, the device and the models of each ComfyUI.",
        responses={
            200: ResponseDoc(
                description="The gateway is up.",
                examples={"anybody": examples.HEALTH, "signedIn": examples.HEALTH_SIGNED_IN},
            )
        },
    ),
    "listAudit": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns the newest entries first. An entry has hashes of the content before and after the change, "
        "never the content itself.",
        parameters=(LIMIT, CURSOR),
        responses={200: ResponseDoc(description="A page of entries.", examples={"page": examples.AUDIT_LIST})},
    ),
    "getStats": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns counts and averages of the stored jobs of all owners. The statistics are updated when a "
        f"job changes, not computed per request; they can be {JOB_CHANGES.window_seconds} seconds old, and slightly "
        "older under high load.",
        responses={200: ResponseDoc(description="The statistics.", examples={"usual": examples.STATS})},
    ),
    "getOpenApi": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns this reference as an OpenAPI 3.1 document.",
        parameters=(_IF_NONE_MATCH,),
        responses={
            200: ResponseDoc(description="The document.", media=("application/json",), headers=("ETag",)),
            304: _UNCHANGED,
        },
    ),
    "getDocs": OperationDoc(
        tag=Tag.GATEWAY,
        description="Returns this reference as an HTML page without scripts and external resources.",
        parameters=(_IF_NONE_MATCH,),
        responses={
            200: ResponseDoc(description="The page.", media=("text/html",), headers=("ETag",)),
            304: _UNCHANGED,
        },
    ),
}
