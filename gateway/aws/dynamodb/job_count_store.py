"""Counts of jobs in DynamoDB: one item for each day on which jobs were accepted. It expires after those jobs."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes, transaction
from gateway.domain import timestamps
from gateway.domain.job_counts import DailyJobCounts
from gateway.errors import JobCountsConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_PARTITION = "STATS"
_NOT_COUNTS = ("pk", "sk", "expiresAt")
_MAX_ATTEMPTS = 5


class DynamoJobCountStore:
    """Implements the port `JobCountStore`. `retention_days`: of jobs."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=retention_days)

    def add(self, differences: Mapping[date, DailyJobCounts], *, batch_id: str) -> None:
        """Change the counts of several days, at most a hundred, atomically. Raises JobCountsConflictError.

        It is a transaction for its token: DynamoDB ignores a repeated token for ten minutes.
        """
        updates = [self._update(day, difference) for day, difference in sorted(differences.items())]
        if not any(transaction.write(self._client, updates, token=batch_id) for _ in range(_MAX_ATTEMPTS)):
            raise JobCountsConflictError("Other writers kept changing the counts of jobs.")

    def _update(self, day: date, difference: DailyJobCounts) -> TransactWriteItemTypeDef:
        numbered = list(enumerate(sorted(difference)))
        added = ", ".join(f"#{number} :{number}" for number, _ in numbered)
        # The last job of the day is retained until then.
        expires_at = datetime.combine(day + timedelta(days=1), time.min, UTC) + self._retention
        values = {
            **{f":{number}": difference[name] for number, name in numbered},
            ":expiresAt": timestamps.to_milliseconds(expires_at) // 1000,
        }
        return {
            "Update": {
                "TableName": self._table_name,
                "Key": attributes.write({"pk": _PARTITION, "sk": day.isoformat()}),
                "UpdateExpression": f"SET expiresAt = :expiresAt ADD {added}",
                "ExpressionAttributeNames": {f"#{number}": name for number, name in numbered},
                "ExpressionAttributeValues": attributes.write(values),
            }
        }

    def since(self, day: date) -> Mapping[date, DailyJobCounts]:
        """Read the counts from this day on. One query reads about two thousand days."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk AND sk >= :day",
            ExpressionAttributeValues=attributes.write({":pk": _PARTITION, ":day": day.isoformat()}),
        )
        items = [attributes.read(item) for page in pages for item in page["Items"]]
        return {
            date.fromisoformat(item["sk"]): DailyJobCounts(
                {name: n for name, n in item.items() if name not in _NOT_COUNTS}
            )
            for item in items
        }
