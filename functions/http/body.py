"""Parse request bodies: limited in size, checked against a model, with every problem listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

import pydantic_core
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from gateway.errors import MediaTypeUnsupportedError, PayloadTooLargeError, Problem, RequestInvalidError
from gateway.limits import MAX_REQUEST_BODY_BYTES

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from functions.http.request import Request


class RequestBody(BaseModel):
    """Base of all request bodies: camelCase, strict about types, without unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, frozen=True)


Body = TypeVar("Body", bound=RequestBody)


def parse_body(request: Request, model: type[Body]) -> Body:
    """Parse the body as this model. Raises MediaTypeUnsupportedError, PayloadTooLargeError or RequestInvalidError."""
    _check_media_type(request)
    try:
        text = request.event.decoded_body or ""
    except ValueError:
        raise RequestInvalidError([Problem("", "The body is not valid JSON: it is not UTF-8.")]) from None
    # Bytes are never fewer than characters, so counting characters first is enough for most large bodies.
    if len(text) > MAX_REQUEST_BODY_BYTES or len(text.encode()) > MAX_REQUEST_BODY_BYTES:
        raise PayloadTooLargeError(f"The body is larger than {MAX_REQUEST_BODY_BYTES} bytes, the limit of this API.")
    try:
        parsed = pydantic_core.from_json(text, allow_inf_nan=False)
        json.dumps(parsed, allow_nan=False)  # 1e999 is well-formed, but becomes infinity, which JSON cannot express
    except ValueError as error:
        raise RequestInvalidError([Problem("", f"The body is not valid JSON: {error}")]) from None
    if not isinstance(parsed, dict):
        raise RequestInvalidError([Problem("", "The body must be a JSON object.")])
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        raise RequestInvalidError(_problems(error)) from None


def _check_media_type(request: Request) -> None:
    # A web page can send any body to any address, but JSON by its name only where CORS allows that.
    if not request.event.body:
        return  # the parser reports that the body is missing
    media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise MediaTypeUnsupportedError("Send the body as JSON, with the header Content-Type: application/json.")
    encoding = (request.header("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise MediaTypeUnsupportedError("Send the body without compression: Content-Encoding is not supported.")


def _problems(error: ValidationError) -> list[Problem]:
    details = error.errors(include_url=False, include_input=False)
    return [Problem(".".join(str(step) for step in detail["loc"]), _message(detail)) for detail in details]


# Where pydantic's own messages are written for Python programmers.
_MESSAGES = {
    "extra_forbidden": "Unknown field.",
    "missing": "Required.",
    "dict_type": "Must be a JSON object.",
    "too_long": "Has more than {max_length} entries.",
    "string_pattern_mismatch": "Must match {pattern}.",
}


def _message(detail: ErrorDetails) -> str:
    message = _MESSAGES.get(detail["type"])
    return message.format_map(detail.get("ctx", {})) if message else detail["msg"].removeprefix("Value error, ")
