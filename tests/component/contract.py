"""Checks responses against the OpenAPI document."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from functions.api.static import OPENAPI_JSON

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.component.api import Response

_ERROR = {"$ref": "#/components/schemas/Error"}


@cache
def _document() -> dict[str, Any]:
    return dict(json.loads(OPENAPI_JSON.read_text(encoding="utf-8")))


def contract_problems(method: str, path: str, response: Response) -> list[str]:
    """Return how a response differs from the document. A field that is not documented counts as a difference."""
    operation = _operation(method, path)
    if operation is None:
        return list(_undocumented_problems(method, response))
    status = str(response.status)
    responses = operation["responses"]
    documented = resolved(responses.get(status) or responses.get(f"{status[0]}XX"))
    if documented is None:
        return [f"{status} is not documented"]
    return [*_header_problems(documented, response), *_body_problems(documented.get("content", {}), response)]


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for template, operations in _document()["paths"].items():
        # A file name can contain slashes.
        pattern = re.escape(template).replace(r"\{filename\}", ".+")
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", pattern), path.rstrip("/")):
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


def _undocumented_problems(method: str, response: Response) -> Iterator[str]:
    """Allow preflights, and the errors for unknown paths and methods that the introduction describes."""
    if method == "OPTIONS" and response.status == 204:
        return
    if response.status not in (401, 403, 404, 405, 429, 500):
        yield f"{response.status} to a request that is not documented"
    yield from _schema_problems(_ERROR, response)


def _header_problems(documented: dict[str, Any], response: Response) -> Iterator[str]:
    for name, reference in documented["headers"].items():
        header = resolved(reference)
        assert header is not None
        value = response.headers.get(name.lower())
        if value is None:
            if header.get("required"):
                yield f"the header {name} is missing"
        elif not jsonschema_rs.is_valid(header["schema"], value):
            yield f"the header {name} is {value!r}"


def _body_problems(content: dict[str, Any], response: Response) -> Iterator[str]:
    if not content:
        if response.body:
            yield "a body is not documented"
        return
    media_type = response.headers["content-type"].partition(";")[0]
    media = content.get(media_type) or content.get("*/*")
    if media is None:
        yield f"{media_type} is not documented"
    elif media_type == "application/json":
        yield from _schema_problems(media["schema"], response)
        codes = [example["value"].get("error") for example in media.get("examples", {}).values()]
        if response.status >= 400 and response.json["error"] not in codes:
            yield f"{response.json['error']} is not documented for {response.status}"


def _schema_problems(schema: dict[str, Any], response: Response) -> Iterator[str]:
    for error in validator(json.dumps(schema)).iter_errors(response.json):
        yield f"{'.'.join(map(str, error.instance_path))}: {error.message}"


@cache
def validator(schema_text: str) -> jsonschema_rs.Draft202012Validator:
    """Return a validator of a schema in the document. It rejects fields that are not documented."""
    components = {"schemas": {name: _closed(each) for name, each in _document()["components"]["schemas"].items()}}
    return jsonschema_rs.Draft202012Validator(
        {**json.loads(schema_text), "components": components}, validate_formats=True
    )


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"additionalProperties": False, **schema} if "properties" in schema else schema


def resolved(thing: dict[str, Any] | None) -> dict[str, Any] | None:
    """Follow a reference within the document."""
    if thing is None or "$ref" not in thing:
        return thing
    found: Any = _document()
    for step in thing["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)
