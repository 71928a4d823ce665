"""The audit log in DynamoDB, in one partition sorted by time: a page is one query.

One partition accepts a thousand writes a second; admins do not make that many.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes
from gateway.aws.resources import AUDIT_RETENTION_DAYS
from gateway.domain import timestamps
from gateway.domain.audit import AuditAction, AuditEntry, Authorship
from gateway.domain.page_position import PagePosition
from gateway.domain.principal import Principal, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef

_PARTITION = "AUDIT"


class DynamoAuditLog:
    """Implements the port `AuditLog`. `retention_days`: of jobs; entries are retained at least as long."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=max(retention_days, AUDIT_RETENTION_DAYS))

    def put(self, entry: AuditEntry) -> PutTypeDef:
        """Return the write of an entry, for the transaction that makes the change."""
        fields: attributes.Fields = {
            "pk": _PARTITION,
            "sk": entry.position.to_text(),
            "owner": entry.by.actor.owner,
            "role": entry.by.actor.role,
            "keyName": entry.by.actor.key_name,
            "correlationId": entry.by.correlation_id,
            "action": entry.action,
            "target": entry.target,
            "before": entry.before,
            "after": entry.after,
            "expiresAt": timestamps.to_milliseconds(entry.position.at + self._retention) // 1000,
        }
        return {"TableName": self._table_name, "Item": attributes.write(fields)}

    def record(self, entry: AuditEntry) -> None:
        """Write an entry for an action that changes nothing in the table."""
        self._client.put_item(**self.put(entry))

    def newest(self, limit: int, *, before: PagePosition | None) -> Sequence[AuditEntry]:
        """Read up to `limit` entries, newest first, that are before a position if one is given."""
        values = {":pk": _PARTITION} if before is None else {":pk": _PARTITION, ":before": before.to_text()}
        response = self._client.query(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk" if before is None else "pk = :pk AND sk < :before",
            ExpressionAttributeValues=attributes.write(values),
            ScanIndexForward=False,
            Limit=limit,
            ConsistentRead=True,
        )
        return [_from_item(item) for item in response["Items"]]


def _from_item(item: attributes.Item) -> AuditEntry:
    fields = attributes.read(item)
    actor = Principal(owner=fields["owner"], role=Role(fields["role"]), key_name=fields.get("keyName"))
    return AuditEntry(
        position=PagePosition.from_text(fields["sk"]),
        by=Authorship(actor=actor, correlation_id=fields["correlationId"]),
        action=AuditAction(fields["action"]),
        target=fields["target"],
        before=fields.get("before"),
        after=fields.get("after"),
    )
