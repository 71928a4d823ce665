"""The result cache in DynamoDB: an item lists the files of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes, job_item, workflow_store
from gateway.domain import timestamps
from gateway.domain.result_cache import CachedResult

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.domain.workflow import WorkflowHead

_SORT_KEY = "RESULT"


class DynamoResultCache:
    """Implements the port `ResultCache`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def put(self, key: str, result: CachedResult, *, expires_at: datetime) -> None:
        """Write a result in place of an older one."""
        fields: attributes.Fields = {
            **_key_fields(key),
            "jobId": result.job_id,
            "outputs": job_item.pack_outputs(result.outputs),
            "expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def find(self, key: str, *, now: datetime) -> CachedResult | None:
        """Read a result that has not expired, or None."""
        response = self._client.get_item(TableName=self._table_name, Key=_key(key))
        return _read(response["Item"], now) if "Item" in response else None

    def find_with_head(
        self, key: str, workflow_id: str, *, now: datetime
    ) -> tuple[WorkflowHead | None, CachedResult | None]:
        """Read a result and, in the same call, the head of its workflow."""
        keys = [_key(key), workflow_store.head_key(workflow_id)]
        response = self._client.batch_get_item(RequestItems={self._table_name: {"Keys": keys, "ConsistentRead": True}})
        found = response["Responses"].get(self._table_name, [])
        results = [item for item in found if item["sk"] == {"S": _SORT_KEY} and item["pk"] == _key(key)["pk"]]
        heads = [item for item in found if item not in results]
        return (
            workflow_store.read_head(heads[0]) if heads else None,
            _read(results[0], now) if results else None,
        )


def _key_fields(key: str) -> dict[str, str]:
    return {"pk": f"RESULT#{key}", "sk": _SORT_KEY}


def _key(key: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    return attributes.write(_key_fields(key))


def _read(item: attributes.Item, now: datetime) -> CachedResult | None:
    fields = attributes.read(item)
    # DynamoDB can take days to remove expired items.
    if fields["expiresAt"] * 1000 <= timestamps.to_milliseconds(now):
        return None
    return CachedResult(job_id=fields["jobId"], outputs=job_item.unpack_outputs(fields["outputs"]))
