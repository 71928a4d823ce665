"""API keys in DynamoDB, by the hash of the key.

Each has two items: one in its own partition, which requests read, and one in a partition that lists all for operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.aws.dynamodb import attributes, transaction
from gateway.domain import timestamps
from gateway.domain.principal import ApiKey, Role
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_SORT_KEY = "KEY"
LIST_PARTITION = "KEYS"


class DynamoApiKeyStore:
    """Implements the port `ApiKeyStore`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key's record, or None."""
        response = self._client.get_item(TableName=self._table_name, Key=_key(sha256), ConsistentRead=True)
        return from_item(response["Item"]) if "Item" in response else None

    def put(self, key: ApiKey) -> None:
        """Write a key's record in place of the one with the same hash."""
        self._write(puts(self._table_name, key))

    def delete(self, sha256: str) -> None:
        """Delete a key's record, if there is one."""
        keys = (_key(sha256), attributes.write({"pk": LIST_PARTITION, "sk": sha256}))
        self._write([{"Delete": {"TableName": self._table_name, "Key": key}} for key in keys])

    def _write(self, items: Sequence[TransactWriteItemTypeDef]) -> None:
        if not transaction.write(self._client, items):
            raise StateConflictError("This key is being changed by another request. Try again.")


def puts(table_name: str, key: ApiKey) -> list[TransactWriteItemTypeDef]:
    """Return the writes of a key's two items."""
    fields: attributes.Fields = {
        "sha256": key.sha256,
        "name": key.name,
        "owner": key.owner,
        "role": key.role,
        "createdAt": timestamps.to_text(key.created_at),
        "keyExpiresAt": timestamps.to_text(key.expires_at) if key.expires_at else None,
        "disabled": key.disabled,
    }
    items = ({"pk": f"KEY#{key.sha256}", "sk": _SORT_KEY}, {"pk": LIST_PARTITION, "sk": key.sha256})
    return [{"Put": {"TableName": table_name, "Item": attributes.write({**item, **fields})}} for item in items]


def from_item(item: attributes.Item) -> ApiKey:
    """Read either of the two items."""
    fields = attributes.read(item)
    return ApiKey(
        sha256=fields["sha256"],
        name=fields["name"],
        owner=fields["owner"],
        role=Role(fields["role"]),
        created_at=timestamps.from_text(fields["createdAt"]),
        expires_at=timestamps.from_text(fields["keyExpiresAt"]) if "keyExpiresAt" in fields else None,
        disabled=fields["disabled"],
    )


def _key(sha256: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    return attributes.write({"pk": f"KEY#{sha256}", "sk": _SORT_KEY})
