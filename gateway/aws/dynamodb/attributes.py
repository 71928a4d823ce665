"""Marshal DynamoDB attribute values, for the few types that are stored, without boto3's resource layer.

Structured fields are stored as JSON, as text or packed: floats do not change, and an item stays one flat map.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

Item = dict[str, Any]
Value = str | int | bool | bytes
Fields = Mapping[str, Value | None]


def write(fields: Fields) -> Item:
    """Marshal fields; None values are left out."""
    return {name: _value(value) for name, value in fields.items() if value is not None}


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": value}
    return {"S": value}


def read(item: Mapping[str, Any]) -> dict[str, Any]:
    """Unmarshal the result of `write`."""
    return {name: _read(value) for name, value in item.items()}


def _read(value: Mapping[str, Any]) -> Value:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    return content  # type: ignore[no-any-return]  # S, B and BOOL have their Python types


def to_json(value: object) -> str:
    """Serialize a structured field."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def failed_condition(error: ClientError) -> Item | None:
    """Return the stored item when a condition failed ({} when there is none); None for any other error."""
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        return None
    # The stubs do not know that a failed condition has the stored item.
    stored: Any = error.response.get("Item", {})
    return dict(stored)
