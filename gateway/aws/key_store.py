"""API keys in DynamoDB, found by the hash of the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.aws import attributes
from gateway.domain import instant
from gateway.domain.identity import ApiKey, Role

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "KEY"


class DynamoKeyStore:
    """The KeyStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, sha256: str) -> ApiKey | None:
        """Read a key's record, or None."""
        answer = self._client.get_item(TableName=self._table_name, Key=_key(sha256), ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else None

    def put(self, key: ApiKey) -> None:
        """Write a key's record, in place of the one with the same hash."""
        fields = {
            "pk": f"KEY#{key.sha256}",
            "sk": _SORT_KEY,
            "sha256": key.sha256,
            "name": key.name,
            "owner": key.owner,
            "role": key.role,
            "createdAt": instant.to_text(key.created_at),
            "keyExpiresAt": instant.to_text(key.expires_at) if key.expires_at else None,
            "disabled": key.disabled,
        }
        self._client.put_item(TableName=self._table_name, Item=attributes.write(fields))

    def delete(self, sha256: str) -> None:
        """Forget a key; nothing happens when there is none."""
        self._client.delete_item(TableName=self._table_name, Key=_key(sha256))


def _key(sha256: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    return attributes.write({"pk": f"KEY#{sha256}", "sk": _SORT_KEY})


def _from_item(item: attributes.Item) -> ApiKey:
    fields = attributes.read(item)
    return ApiKey(
        sha256=fields["sha256"],
        name=fields["name"],
        owner=fields["owner"],
        role=Role(fields["role"]),
        created_at=instant.from_text(fields["createdAt"]),
        expires_at=instant.from_text(fields["keyExpiresAt"]) if "keyExpiresAt" in fields else None,
        disabled=fields["disabled"],
    )
