"""Request bodies: bounded, parsed, and checked against a model; every problem named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import pydantic_core
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from gateway.errors import PayloadTooLargeError, Problem, RequestInvalidError
from gateway.limits import MAX_REQUEST_BODY_BYTES

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
    from pydantic_core import ErrorDetails


class RequestBody(BaseModel):
    """Base of all request bodies: camelCase, strict about types, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


Body = TypeVar("Body", bound=RequestBody)


def read(event: APIGatewayProxyEvent, model: type[Body]) -> Body:
    """Parse the body as this model. Raises PayloadTooLargeError or RequestInvalidError."""
    try:
        text = event.decoded_body or ""
    except ValueError:
        raise RequestInvalidError([Problem("", "The body is not valid JSON: it is not UTF-8.")]) from None
    # The length in characters bounds the length in bytes from below, and costs nothing.
    if len(text) > MAX_REQUEST_BODY_BYTES or len(text.encode()) > MAX_REQUEST_BODY_BYTES:
        raise PayloadTooLargeError(f"The body is larger than {MAX_REQUEST_BODY_BYTES} bytes, the most this API takes.")
    try:
        parsed = pydantic_core.from_json(text, allow_inf_nan=False)
        json.dumps(parsed, allow_nan=False)  # 1e999 is well-formed, but is read as infinity, which JSON cannot say
    except ValueError as error:
        raise RequestInvalidError([Problem("", f"The body is not valid JSON: {error}")]) from None
    if not isinstance(parsed, dict):
        raise RequestInvalidError([Problem("", "The body must be a JSON object.")])
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        raise RequestInvalidError(_problems(error)) from None


def _problems(error: ValidationError) -> list[Problem]:
    details = error.errors(include_url=False, include_input=False)
    return [Problem(".".join(str(step) for step in detail["loc"]), _said(detail)) for detail in details]


# Where pydantic's own words are for programmers in Python.
_WORDS = {
    "extra_forbidden": "Unknown field.",
    "missing": "Required.",
    "dict_type": "Must be a JSON object.",
    "too_long": "Has more than {max_length} entries.",
    "string_pattern_mismatch": "Must match {pattern}.",
}


def _said(detail: ErrorDetails) -> str:
    words = _WORDS.get(detail["type"])
    return words.format_map(detail.get("ctx", {})) if words else detail["msg"].removeprefix("Value error, ")
