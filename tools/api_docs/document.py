"""Build the OpenAPI document from routes, types, errors and texts. https://spec.openapis.org/oas/v3.1.1."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from functions.api import requests, responses
from functions.api.routes import ROUTES
from functions.http.routes import Access
from functions.rendering import webhook_json
from gateway.__about__ import VERSION
from gateway.errors import (
    CredentialsRejectedError,
    MediaTypeUnsupportedError,
    PageForbiddenError,
    PathNotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestInvalidError,
    RoleForbiddenError,
)
from tools.api_docs import examples
from tools.api_docs.gateway_operations import GATEWAY_OPERATIONS
from tools.api_docs.job_operations import JOB_OPERATIONS
from tools.api_docs.operation import Tag
from tools.api_docs.output_operations import OUTPUT_OPERATIONS
from tools.api_docs.webhook_operations import WEBHOOK_OPERATIONS, WEBHOOKS
from tools.api_docs.workflow_operations import WORKFLOW_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from functions.http.routes import Route
    from gateway.errors import RequestError
    from tools.api_docs.operation import OperationDoc, Parameter, ResponseDoc

OPERATIONS: Mapping[str, OperationDoc] = {
    **JOB_OPERATIONS,
    **WEBHOOK_OPERATIONS,
    **OUTPUT_OPERATIONS,
    **WORKFLOW_OPERATIONS,
    **GATEWAY_OPERATIONS,
}

_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = """Run ComfyUI workflows as jobs: submit a job, poll it or wait for it, download its output files.

**Authentication.** Send an API key as `X-API-Key`, or a JWT as `Authorization: Bearer` if the gateway accepts JWTs. \
Users have access to their own jobs; the job of another owner is a 404. Admins have access to all jobs, and can change \
workflows.

**Errors** have the same JSON body everywhere. `error` is a code for programs, `message` a text for people. An unknown \
path returns 404 `NOT_FOUND`. A method that the path does not support returns 405 `METHOD_NOT_ALLOWED` with `Allow`. \
Invalid HTTP returns 400 `VALIDATION_ERROR`. A query, headers or a body above the size limits return 413 \
`PAYLOAD_TOO_LARGE`.

**Correlation ids.** Every response has `X-Correlation-Id`: yours if it is valid, else a new one. It is \
in every log line of the request.

**Rate limits.** If the gateway limits requests, every response has the `X-RateLimit-*` headers.
"""
_SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "Created by the operator. The key is shown once, when it is created.",
    },
    "Jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256, with the claims `sub` (the owner), `role` and `exp`. Accepted only if the gateway has a "
        "JWT secret.",
    },
}
_AUTHENTICATED: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Jwt": []}]
# Other operations use the default of the document.
_SECURITY = {Access.ANYONE: [], Access.ANYONE_MORE_FOR_CALLERS: [{}, *_AUTHENTICATED]}
_WHOLE_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Correlation-Id": {
        "description": "Identifies the request in the logs.",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-RateLimit-Limit": {"description": "Maximum number of requests per window.", "schema": _WHOLE_NUMBER},
    "X-RateLimit-Remaining": {"description": "Remaining requests in this window.", "schema": _WHOLE_NUMBER},
    "X-RateLimit-Reset": {
        "description": "Start of the next window, in seconds since the epoch.",
        "schema": _WHOLE_NUMBER,
    },
    "Retry-After": {"description": "Seconds to wait before a retry.", "required": True, "schema": _WHOLE_NUMBER},
    "Content-Disposition": {
        "description": "File name, and whether a browser displays or saves the file. Only with the content itself.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Version of the content. Not with `format=base64`.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Presigned URL, valid for one hour by default.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
}
_COMMON_HEADERS = ("X-Correlation-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_CORRELATION_PARAMETER = {
    "name": "X-Correlation-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "Your own id for the request: up to 128 letters, digits and `._:-`. Other values are replaced.",
}
_SERVER_ERROR_DESCRIPTION = (
    "Server error: 500 if the request failed, 502 if no function responded, 504 after a timeout. The code "
    "is always INTERNAL_ERROR. A job that is sent again with the same Idempotency-Key is accepted only once."
)
_SERVER_ERROR = {
    "error": "INTERNAL_ERROR",
    "message": "An internal error occurred. Try again; if it persists, report the correlation id.",
    "details": None,
    "retryable": True,
    "correlationId": examples.CORRELATION_ID,
}


def document() -> dict[str, Any]:
    """Build the document. Raises ValueError if a route has no texts, or a text no route."""
    if unmatched := {route.operation_id for route in ROUTES} ^ OPERATIONS.keys():
        raise ValueError(f"operations without a route, or routes without texts: {', '.join(sorted(unmatched))}")
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in ROUTES:
        paths[route.path.replace("+}", "}")][route.method.lower()] = _operation(route, OPERATIONS[route.operation_id])
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "ComfyUI Gateway",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to the document, so that it is right behind the stage's name as well as on a domain.
        "servers": [{"url": "."}],
        "security": _AUTHENTICATED,
        "tags": [{"name": tag.value[0], "description": tag.value[1]} for tag in Tag],
        "paths": dict(paths),
        "webhooks": WEBHOOKS,
        "components": {
            "schemas": _schemas(),
            "responses": _shared_responses(),
            "headers": _HEADERS,
            "parameters": {"CorrelationId": _CORRELATION_PARAMETER},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _operation(route: Route, doc: OperationDoc) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "tags": [doc.tag.value[0]],
        "summary": route.summary,
        "description": doc.description,
        "parameters": [
            *(_parameter(parameter) for parameter in doc.parameters),
            {"$ref": "#/components/parameters/CorrelationId"},
        ],
    }
    if route.request:
        media = {"schema": _reference(_request_type(route.request)), "example": doc.request_example}
        operation["requestBody"] = {"required": True, "content": {"application/json": media}}
    if route.access in _SECURITY:
        operation["security"] = _SECURITY[route.access]
    if route.access is Access.ADMIN:
        operation["description"] += " Admins only."
    if unmatched := route.responses.keys() ^ doc.responses.keys():
        raise ValueError(f"{route.operation_id}: statuses without a text, or texts without a status: {unmatched}")
    operation["responses"] = {
        **{str(status): _response(doc.responses[status], body) for status, body in route.responses.items()},
        **_errors(route, doc),
        "5XX": {"$ref": "#/components/responses/ServerError"},
    }
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "schema": parameter.schema,
        "description": parameter.description,
        **({} if parameter.example is None else {"example": parameter.example}),
    }


def _response(doc: ResponseDoc, body: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": {}} for media in doc.media}
    if body:
        schema: dict[str, Any] = _reference(_response_type(body))
        if "*/*" in doc.media:
            schema = {"anyOf": [schema, {"description": "A file that is itself JSON."}]}
        named = {name: {"value": example} for name, example in doc.examples.items()}
        content["application/json"] = {"schema": schema, "examples": named}
    links = {to: {"operationId": to, "parameters": parameters} for to, parameters in doc.links.items()}
    return {
        "description": doc.description,
        "headers": _header_references(*_COMMON_HEADERS, *doc.headers),
        **({"content": content} if content else {}),
        **({"links": links} if links else {}),
    }


def _possible_errors(route: Route, doc: OperationDoc) -> Iterable[type[RequestError]]:
    if any(parameter.where in ("query", "header") for parameter in doc.parameters) or route.request:
        yield RequestInvalidError
    if route.request:
        yield PayloadTooLargeError
        yield MediaTypeUnsupportedError
    if route.access is not Access.ANYONE:
        yield CredentialsRejectedError
    if route.access is Access.ADMIN:
        yield RoleForbiddenError
    yield PageForbiddenError
    if "{" in route.path:
        yield PathNotFoundError
    yield from doc.errors
    yield RateLimitedError


def _errors(route: Route, doc: OperationDoc) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{errors[0].__name__}"}
        if len(errors) == 1
        else _error_response(*errors)
        for status, errors in sorted(_errors_by_status(route, doc).items())
    }


def _errors_by_status(route: Route, doc: OperationDoc) -> dict[int, list[type[RequestError]]]:
    by_status: dict[int, list[type[RequestError]]] = defaultdict(list)
    for error in _possible_errors(route, doc):
        by_status[error.status].append(error)
    return by_status


def _shared_responses() -> dict[str, Any]:
    alone = {
        errors[0]
        for route in ROUTES
        for errors in _errors_by_status(route, OPERATIONS[route.operation_id]).values()
        if len(errors) == 1
    }
    shared = {error.__name__: _error_response(error) for error in sorted(alone, key=lambda e: (e.status, e.__name__))}
    return {**shared, "ServerError": _error_body_response(_SERVER_ERROR_DESCRIPTION, _SERVER_ERROR)}


def _error_response(*errors: type[RequestError]) -> dict[str, Any]:
    description = " ".join(str(inspect.getdoc(error)).partition("\n")[0] for error in errors)
    headers = ("Retry-After",) if RateLimitedError in errors else ()
    return _error_body_response(description, *(_error_example(error) for error in errors), headers=headers)


def _error_body_response(description: str, *bodies: Mapping[str, Any], headers: tuple[str, ...] = ()) -> dict[str, Any]:
    media = {
        "schema": _reference(responses.ErrorJson),
        "examples": {body["error"]: {"value": body} for body in bodies},
    }
    return {
        "description": description,
        "headers": _header_references(*_COMMON_HEADERS, *headers),
        "content": {"application/json": media},
    }


def _error_example(error_class: type[RequestError]) -> dict[str, Any]:
    """Return the example of this class, or one with its docstring as the message."""
    own = next((error for error in examples.ERRORS if type(error) is error_class), None)
    return {
        "error": error_class.code,
        "message": own.message if own else str(error_class.__doc__),
        "details": own.details if own else None,
        "retryable": error_class.retryable,
        "correlationId": examples.CORRELATION_ID,
    }


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _request_type(name: str) -> type:
    found: type = getattr(requests, name)
    return found


def _response_type(name: str) -> type:
    found: type = getattr(responses, name)
    return found


def _schema_name(body: type) -> str:
    """Return the name of a type's schema. JobJson is Job in the document, which has no domain class of that name."""
    return body.__name__.removesuffix("Json")


def _reference(body: type) -> dict[str, Any]:
    return {"$ref": _SCHEMAS + _schema_name(body)}


class _SchemaGenerator(GenerateJsonSchema):
    """Names schemas as `_schema_name` does, and omits titles of fields: they repeat the fields' names."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("Json")

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "title": _schema_name(schema["cls"])}

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  pydantic's own signature
        return False


def _schemas() -> dict[str, Any]:
    types = {
        responses.ErrorJson,
        webhook_json.WebhookBodyJson,
        *(_request_type(route.request) for route in ROUTES if route.request),
        *(_response_type(body) for route in ROUTES for body in route.responses.values() if body),
    }
    adapters: list[TypeAdapter[Any]] = [TypeAdapter(each) for each in sorted(types, key=_schema_name)]
    _, generated = TypeAdapter.json_schemas(
        [(number, "validation", adapter) for number, adapter in enumerate(adapters)],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_SchemaGenerator,
    )
    return dict(sorted(generated["$defs"].items()))
