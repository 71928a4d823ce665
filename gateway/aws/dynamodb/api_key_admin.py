"""API keys for operators: list, create and revoke them, with an entry in the audit log for each change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import api_key_store, attributes, transaction
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.audit import AuditAction, AuditEntry
from gateway.errors import StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.aws.dynamodb.audit_log import DynamoAuditLog
    from gateway.domain.audit import Authorship
    from gateway.domain.principal import ApiKey
    from gateway.ports import Clock


class DynamoApiKeyAdmin:
    """Implements the port `ApiKeyAdmin`."""

    def __init__(
        self, client: DynamoDBClient, table_name: str, audit: DynamoAuditLog, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._client = client
        self._table_name = table_name
        self._audit = audit
        self._clock = clock

    def all(self) -> Sequence[ApiKey]:
        """Read all keys, oldest first, including revoked and expired ones."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=attributes.write({":pk": api_key_store.LIST_PARTITION}),
            ConsistentRead=True,
        )
        keys = [api_key_store.from_item(item) for page in pages for item in page["Items"]]
        return sorted(keys, key=lambda key: key.created_at)

    def create(self, key: ApiKey, by: Authorship) -> None:
        """Store a new key."""
        self._change(key, AuditAction.KEY_CREATED, by)

    def revoke(self, key: ApiKey, by: Authorship) -> None:
        """Disable a key; its record stays. Raises StateConflictError when it is already revoked."""
        if key.disabled:
            raise StateConflictError(f"The key {key.id} is already revoked.")
        self._change(replace(key, disabled=True), AuditAction.KEY_REVOKED, by)

    def _change(self, key: ApiKey, action: AuditAction, by: Authorship) -> None:
        entry = AuditEntry.new(action, key.name, by=by, at=self._clock.now())
        writes = api_key_store.puts(self._table_name, key)
        if not transaction.write(self._client, [*writes, {"Put": self._audit.put(entry)}]):
            raise StateConflictError(f"The key {key.id} is being changed by another request. Try again.")
