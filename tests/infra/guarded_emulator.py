"""Run the embedded AWS as a process that enforces IAM: see cloud.py.

It adds two features of AWS: the condition key of DynamoDB that restricts functions to kinds of items, and responses
of functions without a body. It writes each IAM decision to the file CALLS_FILE.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ministack import app  # type: ignore[import-untyped]
from ministack.core import iam_actions, iam_evaluator  # type: ignore[import-untyped]

_KEYS = "dynamodb:leadingkeys"
_context_of = iam_actions.dynamodb_service_context
_enforce = iam_evaluator.enforce
_send_response = app._send_response
_resolve_principal = iam_evaluator.resolve_principal
_caller = {"arn": ""}  # of the call that is being decided, without a switch of tasks in between


def _context_with_keys(body: bytes) -> dict[str, Any]:
    """Add the partition keys of the items in a request; for a transaction, by action."""
    context: dict[str, Any] = _context_of(body)
    request = json.loads(body or b"{}")
    steps = request.get("TransactItems")
    if steps:
        by_action: dict[str, set[str]] = {}
        for step in steps:
            for verb, item in step.items():
                by_action.setdefault(f"dynamodb:{verb}Item", set()).update(_partition_keys(item))
        return {**context, _KEYS: by_action}
    keys = _partition_keys(request)
    return {**context, _KEYS: keys} if keys else context


def _partition_keys(request: Any) -> set[str]:  # noqa: ANN401  any JSON
    match request:
        case {"pk": {"S": str(key)}} | {":pk": {"S": str(key)}}:  # the name of the placeholder in our queries
            return {key}
        case dict():
            return {key for value in request.values() for key in _partition_keys(value)}
        case list():
            return {key for value in request for key in _partition_keys(value)}
    return set()


def _resolve_and_store(*arguments: Any) -> Any:  # noqa: ANN401  ministack's
    principal = _resolve_principal(*arguments)
    _caller["arn"] = getattr(principal, "arn", "")
    return principal


def _enforce_and_record(
    access_key: str, action: str, *where: str, resource_arn: str = "*", service_context: dict[str, Any] | None = None
) -> Any:  # noqa: ANN401  ministack's
    context = dict(service_context or {})
    keys = context.pop(_KEYS, None)
    # Each step of a transaction is authorized as its own action.
    keys = keys.get(action) if isinstance(keys, dict) else keys
    if keys:
        context[_KEYS] = sorted(keys)
    refusal = _enforce(access_key, action, *where, resource_arn=resource_arn, service_context=context)
    note = {
        "caller": _caller["arn"],
        "action": action,
        "resource": resource_arn,
        "keys": sorted(keys or ()),
        "allowed": refusal is None,
    }
    with Path(os.environ["CALLS_FILE"]).open("a") as file:
        file.write(json.dumps(note) + "\n")
    return refusal


async def _send_response_without_body(send: Any, status: int, headers: Any, body: Any, **options: Any) -> None:  # noqa: ANN401
    await _send_response(send, status, headers, b"" if body is None else body, **options)


if __name__ == "__main__":
    app._send_response = _send_response_without_body
    iam_actions.dynamodb_service_context = _context_with_keys
    iam_evaluator.resolve_principal = _resolve_and_store
    iam_evaluator.enforce = _enforce_and_record
    app.main()
