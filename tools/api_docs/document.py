"""The API's OpenAPI document, made from its operations, its models and its errors. https://spec.openapis.org/oas/v3.1.1."""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from functions.api import responses
from functions.rendering import webhook_json
from gateway.__about__ import VERSION
from gateway.errors import (
    CredentialsRejectedError,
    PathNotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestInvalidError,
    RoleForbiddenError,
)
from tools.api_docs import examples
from tools.api_docs.gateway_operations import GATEWAY_OPERATIONS
from tools.api_docs.job_operations import JOB_OPERATIONS
from tools.api_docs.operation import Access, Tag
from tools.api_docs.output_operations import OUTPUT_OPERATIONS
from tools.api_docs.webhook_operations import WEBHOOK_OPERATIONS, WEBHOOKS
from tools.api_docs.workflow_operations import WORKFLOW_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

    from gateway.errors import RequestError
    from tools.api_docs.operation import Answer, Operation, Parameter

OPERATIONS: tuple[Operation, ...] = (
    *JOB_OPERATIONS,
    *WEBHOOK_OPERATIONS,
    *OUTPUT_OPERATIONS,
    *WORKFLOW_OPERATIONS,
    *GATEWAY_OPERATIONS,
)

_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = """Run ComfyUI workflows as jobs: post one, poll it or wait for it, download its files.

**Signing in.** Send an API key as `X-API-Key`, or, where JWTs are taken, one as `Authorization: Bearer`. A user sees \
its own jobs only: another owner's job is a 404. An admin sees all, and may change workflows.

**Errors** have one shape, whatever the path. `error` is for programs, `message` for people. A path that does not \
exist is 404 `NOT_FOUND`; a method that a path does not have is 405 `METHOD_NOT_ALLOWED`, with `Allow`. What is no \
valid HTTP is 400 `VALIDATION_ERROR`; a query, headers or a body that are too large are 413 `PAYLOAD_TOO_LARGE`.

**Correlation ids.** Every answer has `X-Correlation-Id`: yours, when you sent a sane one. The logs bear it.

**Rate limits** are told by `X-RateLimit-*` in every answer, where requests are counted at all.
"""
_SECURITY_SCHEMES = {
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "Made by the operator, and shown once.",
    },
    "Jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256, with the claims `sub` (the owner), `role` and `exp`. Only where a JWT secret is set.",
    },
}
_SIGNED_IN: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Jwt": []}]
_SECURITY = {Access.ANYBODY: [], Access.ANYBODY_BUT_MORE: [{}, *_SIGNED_IN]}  # others: as the document as a whole
_WHOLE_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Correlation-Id": {
        "description": "What the logs know this request by.",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-RateLimit-Limit": {"description": "Requests that you may make in a window.", "schema": _WHOLE_NUMBER},
    "X-RateLimit-Remaining": {"description": "Those that are left in this one.", "schema": _WHOLE_NUMBER},
    "X-RateLimit-Reset": {"description": "When the next one begins, in epoch seconds.", "schema": _WHOLE_NUMBER},
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": _WHOLE_NUMBER},
    "Content-Disposition": {
        "description": "The file's name, and whether a browser shows or saves it. With its bytes only.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Changes when the content does. With a file's bytes, not with its base64.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "A presigned address that works for an hour, if not told otherwise.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
}
_EVERY_ANSWER = ("X-Correlation-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_CORRELATION_PARAMETER = {
    "name": "X-Correlation-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "A name of your own for this request, up to 128 letters, digits and `._:-`; others are replaced.",
}
_SERVER_ERROR_DESCRIPTION = (
    "Something went wrong on our side: 500 when the request failed, 502 when nothing answered it, 504 when the answer "
    "took too long. All are INTERNAL_ERROR. Sent again with the same Idempotency-Key, a job is accepted once at most."
)
_SERVER_ERROR = {
    "error": "INTERNAL_ERROR",
    "message": "Something went wrong on our side. Try again; if it stays, report the correlation id.",
    "details": None,
    "retryable": True,
    "correlationId": examples.CORRELATION_ID,
}


def document(server: str) -> dict[str, Any]:
    """Make the whole document. `server`: where the API's paths begin, relative to the host."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "ComfyUI Gateway",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": server}],
        "security": _SIGNED_IN,
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


def _operation(operation: Operation) -> dict[str, Any]:
    written: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag.value[0]],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [
            *(_parameter(parameter) for parameter in operation.parameters),
            {"$ref": "#/components/parameters/CorrelationId"},
        ],
    }
    if operation.request:
        schema = {"$ref": _SCHEMAS + _schema_name(operation.request.model)}
        media = {"schema": schema, "example": operation.request.example}
        written["requestBody"] = {"required": True, "content": {"application/json": media}}
    if operation.access in _SECURITY:
        written["security"] = _SECURITY[operation.access]
    if operation.access is Access.ADMIN:
        written["description"] += " Admins only."
    written["responses"] = {
        **{str(status): _answer(answer) for status, answer in operation.answers.items()},
        **_errors(operation),
        "5XX": {"$ref": "#/components/responses/ServerError"},
    }
    return written


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "schema": parameter.schema,
        "description": parameter.description,
        **({} if parameter.example is None else {"example": parameter.example}),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {media: {"schema": {}} for media in answer.media}
    if answer.body:
        schema: dict[str, Any] = {"$ref": _SCHEMAS + _schema_name(answer.body)}
        if "*/*" in answer.media:
            schema = {"anyOf": [schema, {"description": "A file that is itself JSON."}]}
        named = {name: {"value": example} for name, example in answer.examples.items()}
        content["application/json"] = {"schema": schema, "examples": named}
    return {
        "description": answer.description,
        "headers": _header_references(*_EVERY_ANSWER, *answer.headers),
        **({"content": content} if content else {}),
        **(
            {"links": {to: {"operationId": to, "parameters": p} for to, p in answer.links.items()}}
            if answer.links
            else {}
        ),
    }


def _possible_errors(operation: Operation) -> Iterable[type[RequestError]]:
    if any(parameter.where in ("query", "header") for parameter in operation.parameters) or operation.request:
        yield RequestInvalidError
    if operation.request:
        yield PayloadTooLargeError
    if operation.access is not Access.ANYBODY:
        yield CredentialsRejectedError
    if operation.access is Access.ADMIN:
        yield RoleForbiddenError
    if "{" in operation.path:
        yield PathNotFoundError
    yield from operation.errors
    yield RateLimitedError


def _errors(operation: Operation) -> dict[str, Any]:
    return {
        str(status): {"$ref": f"#/components/responses/{errors[0].__name__}"}
        if len(errors) == 1
        else _error_response(*errors)
        for status, errors in sorted(_errors_by_status(operation).items())
    }


def _errors_by_status(operation: Operation) -> dict[int, list[type[RequestError]]]:
    by_status: dict[int, list[type[RequestError]]] = defaultdict(list)
    for error in _possible_errors(operation):
        by_status[error.status].append(error)
    return by_status


def _shared_responses() -> dict[str, Any]:
    alone = {
        errors[0] for operation in OPERATIONS for errors in _errors_by_status(operation).values() if len(errors) == 1
    }
    shared = {error.__name__: _error_response(error) for error in sorted(alone, key=lambda error: error.status)}
    return {**shared, "ServerError": _response(_SERVER_ERROR_DESCRIPTION, _SERVER_ERROR)}


def _error_response(*errors: type[RequestError]) -> dict[str, Any]:
    description = " ".join(str(inspect.getdoc(error)).partition("\n")[0] for error in errors)
    headers = ("Retry-After",) if RateLimitedError in errors else ()
    return _response(description, *(_error_example(error) for error in errors), headers=headers)


def _response(description: str, *shown: dict[str, Any], headers: tuple[str, ...] = ()) -> dict[str, Any]:
    media = {"schema": {"$ref": _SCHEMAS + "Error"}, "examples": {each["error"]: {"value": each} for each in shown}}
    return {
        "description": description,
        "headers": _header_references(*_EVERY_ANSWER, *headers),
        "content": {"application/json": media},
    }


def _error_example(kind: type[RequestError]) -> dict[str, Any]:
    error = next(error for error in examples.ERRORS if type(error) is kind)
    return {
        "error": error.code,
        "message": error.message,
        "details": error.details,
        "retryable": error.retryable,
        "correlationId": examples.CORRELATION_ID,
    }


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _schema_name(body: type) -> str:
    """Return the name of a type in the document: JobJson is Job there, as no domain class is in the way."""
    return body.__name__.removesuffix("Json")


class _SchemaGenerator(GenerateJsonSchema):
    """Names schemas as `_schema_name` does, and leaves out titles of fields: they repeat the fields' names."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("Json")

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "title": _schema_name(schema["cls"])}

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  pydantic's own signature
        return False


_ALWAYS = (responses.ErrorJson, webhook_json.WebhookBodyJson)  # no operation answers with them alone


def _schemas() -> dict[str, Any]:
    requests = {operation.request.model for operation in OPERATIONS if operation.request}
    bodies = {answer.body for operation in OPERATIONS for answer in operation.answers.values() if answer.body}
    adapters: list[TypeAdapter[Any]] = [TypeAdapter(each) for each in (*requests, *bodies, *_ALWAYS)]
    _, made = TypeAdapter.json_schemas(
        [(number, "validation", adapter) for number, adapter in enumerate(adapters)],
        ref_template=_SCHEMAS + "{model}",
        schema_generator=_SchemaGenerator,
    )
    return dict(sorted(made["$defs"].items()))
