"""Counts of jobs in DynamoDB: an item for each day on which jobs were accepted, gone soon after the last of them."""

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
_NO_COUNTS = ("pk", "sk", "expiresAt")
_TRIES = 5


class DynamoJobCountStore:
    """The JobCountStore port. `retention_days`: of jobs."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=retention_days)

    def add(self, differences: Mapping[date, DailyJobCounts], *, batch_id: str) -> None:
        """Change the counts of several days at once, a hundred at most. Raises JobCountsConflictError.

        A transaction for its token: DynamoDB knows one that it has carried out again for ten minutes.
        """
        updates = [self._update(day, difference) for day, difference in sorted(differences.items())]
        if not any(transaction.write(self._client, updates, token=batch_id) for _ in range(_TRIES)):
            raise JobCountsConflictError("Others change the counts of jobs all the time.")

    def _update(self, day: date, difference: DailyJobCounts) -> TransactWriteItemTypeDef:
        numbered = list(enumerate(sorted(difference)))
        added = ", ".join(f"#{number} :{number}" for number, _ in numbered)
        # The last job of the day is kept for this long.
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
        """Read the counts from this day on, with one query for about two thousand days."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table_name,
            KeyConditionExpression="pk = :pk AND sk >= :day",
            ExpressionAttributeValues=attributes.write({":pk": _PARTITION, ":day": day.isoformat()}),
        )
        items = [attributes.read(item) for page in pages for item in page["Items"]]
        return {
            date.fromisoformat(item["sk"]): DailyJobCounts(
                {name: n for name, n in item.items() if name not in _NO_COUNTS}
            )
            for item in items
        }
