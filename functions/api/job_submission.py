"""Parse `POST /jobs`: body and idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.api.requests import JobRequest
from functions.http.body import parse_body
from gateway.domain.submission import Submission
from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_IDEMPOTENCY_KEY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from functions.http.request import Request


def parse_submission(request: Request) -> Submission:
    """Parse the request. Raises PayloadTooLargeError or RequestInvalidError."""
    body = parse_body(request, JobRequest)
    metadata = body.metadata or {}
    return Submission(
        owner=request.caller.owner,
        workflow_id=body.workflow_id,
        inputs=body.inputs,
        params=body.params or {},
        priority=body.priority,
        metadata=metadata,
        idempotency_key=_idempotency_key(request.header("Idempotency-Key"), metadata),
        correlation_id=request.correlation_id,
        callback_url=body.callback_url,
    )


def _idempotency_key(header: str | None, metadata: Mapping[str, Any]) -> str | None:
    where, key = ("Idempotency-Key", header) if header else ("metadata.requestId", metadata.get("requestId"))
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARACTERS:
        raise RequestInvalidError(
            [Problem(where, f"Must be text of 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} characters.")]
        )
    return key
