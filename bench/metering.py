"""Count what AWS would bill for the calls of this process, in the units of AWS."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient

from gateway.aws.resources import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Units = defaultdict[str, float]  # by the names in prices.py
    Change = tuple[dict[str, Any], dict[str, Any]]  # an item before and after

_KB = 1024
_CHUNK = 64 * _KB  # of a message or an event
_call: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001  all calls pass it
_SQS = {"SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"}
_OF_MESSAGES = {"SendMessage", "ReceiveMessage", "DeleteMessage"}  # all have a group: see gateway.aws.resources
_S3 = {
    "PutObject": "S3 write",
    "CopyObject": "S3 write",
    "ListObjectsV2": "S3 write",
    "GetObject": "S3 read",
    "HeadObject": "S3 read",
}


class Meter:
    """Units by part of the work: calls of this thread count for the part of `part`, those of others for `elsewhere`.

    Excluded: polls of empty queues, and heartbeats, as no job causes them.
    """

    def __init__(self, elsewhere: str) -> None:
        self.units: defaultdict[str, Units] = defaultdict(lambda: defaultdict(float))
        self.calls: defaultdict[str, list[str]] = defaultdict(list)
        self._elsewhere = elsewhere
        self._part: str | None = None
        self._thread = threading.current_thread()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the calls of this thread in the block for a part; calls outside of such blocks are not counted."""
        self._part = name
        yield
        self._part = None

    def forget(self) -> None:
        """Reset the counts."""
        self.units.clear()
        self.calls.clear()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the calls of all clients in the block."""

        def metered(client: Any, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401  botocore's
            writes = _items_written(operation, arguments)
            before = [_read(client, table, key) for table, key in writes]
            response = _call(client, operation, arguments)
            after = [_read(client, table, key) for table, key in writes]
            self._note(client, operation, arguments, response, list(zip(before, after, strict=True)))
            return response

        BaseClient._make_api_call = metered  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            yield
        finally:
            BaseClient._make_api_call = _call  # type: ignore[attr-defined]  # noqa: SLF001

    def _note(
        self,
        client: Any,  # noqa: ANN401  botocore's
        operation: str,
        arguments: dict[str, Any],
        response: dict[str, Any],
        changed: list[Change],
    ) -> None:
        part = self._part if threading.current_thread() is self._thread else self._elsewhere
        is_no_jobs = any(_is_report(after) for _, after in changed)
        if part is None or is_no_jobs or (operation == "ReceiveMessage" and not response.get("Messages")):
            return
        if changed:
            factor = 2 if operation == "TransactWriteItems" else 1
            unit, count = "DynamoDB write unit", float(factor * sum(_write_units(*each) for each in changed))
        elif operation in ("GetItem", "BatchGetItem", "Query"):
            unit, count = "DynamoDB read unit", _units_read(client, operation, arguments, response)
        elif operation == "PutEvents":
            unit, count = "EventBridge event", sum(_chunks(len(entry["Detail"])) for entry in arguments["Entries"])
        elif operation in _SQS:
            bodies = [message["Body"] for message in response.get("Messages", ())] or [arguments.get("MessageBody", "")]
            unit, count = "SQS request", _chunks(sum(map(len, bodies)))
        else:
            unit, count = _S3[operation], 1
        self.units[part][unit] += count
        if operation in _OF_MESSAGES:
            self.units[part]["SQS request with a group"] += count
        self.calls[part].append(operation)


def _items_written(operation: str, arguments: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the tables and keys that a call writes to."""
    if operation == "TransactWriteItems":
        steps = [step for item in arguments["TransactItems"] for step in item.values()]
    elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
        steps = [arguments]
    else:
        return []
    keys = [step.get("Key") or {name: step["Item"][name] for name in ("pk", "sk")} for step in steps]
    return [(step["TableName"], key) for step, key in zip(steps, keys, strict=True)]


def _read(client: Any, table: str, key: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  botocore's
    response = _call(client, "GetItem", {"TableName": table, "Key": key, "ConsistentRead": True})
    return dict(response.get("Item", {}))


def _units_read(client: Any, operation: str, arguments: dict[str, Any], response: dict[str, Any]) -> float:  # noqa: ANN401
    if operation == "Query":
        return _read_units(sum(map(_size, response["Items"])), arguments)
    # The whole items are read, whatever the projection.
    if operation == "GetItem":
        return _read_units(_size(_read(client, arguments["TableName"], arguments["Key"])), arguments)
    return sum(
        _read_units(_size(_read(client, table, key)), request)
        for table, request in arguments["RequestItems"].items()
        for key in request["Keys"]
    )


def _is_report(item: dict[str, Any]) -> bool:
    return str(item.get("pk", {}).get("S", "")).startswith("EXECUTOR")


def _read_units(size: int, arguments: dict[str, Any]) -> float:
    units = max(1, math.ceil(size / (4 * _KB)))
    return units if arguments.get("ConsistentRead") else units / 2


def _write_units(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Count the units of one item, and of its entries in indexes: those are written only when they change."""
    units = max(1, math.ceil(max(_size(before), _size(after)) / _KB))
    for index in TABLE.indexes:
        names = ("pk", "sk", index.partition_key, index.sort_key, *index.projected)
        old, new = ({name: item[name] for name in names if name in item} for item in (before, after))
        was, is_ = (index.partition_key in entry and index.sort_key in entry for entry in (old, new))
        if old == new or not (was or is_):
            continue
        moved = was and is_ and old[index.sort_key] != new[index.sort_key]
        units += (2 if moved else 1) * max(1, math.ceil(max(_size(old), _size(new)) / _KB))
    return units


def _size(item: dict[str, Any]) -> int:
    """Count an item's bytes as DynamoDB does.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "B":
            return len(content)
        case "N":
            return math.ceil(len(content.lstrip("-").replace(".", "")) / 2) + 2
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_size(each) for each in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in content.items())
    raise ValueError(f"{kind}: no item of ours has this type")


def _chunks(size: int) -> int:
    return max(1, math.ceil(size / _CHUNK))
