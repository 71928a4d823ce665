"""The sweeper's state as one item."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.aws.dynamodb import attributes
from gateway.domain import timestamps
from gateway.domain.job import Priority
from gateway.domain.lost_jobs import SweepState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_KEY = attributes.write({"pk": "SWEEPER", "sk": "SWEEP"})


class DynamoSweepStore:
    """Implements the port `SweepStore`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def read(self) -> SweepState:
        """Read the state of the last run; a new one before the first run."""
        response = self._client.get_item(TableName=self._table_name, Key=_KEY, ConsistentRead=True)
        if "Item" not in response:
            return SweepState()
        fields = attributes.read(response["Item"])
        return SweepState(
            version=fields["version"],
            counted_at=timestamps.from_text(fields["lookedAt"]),
            empty_since={
                priority: timestamps.from_text(fields[_field_of(priority)])
                for priority in Priority
                if _field_of(priority) in fields
            },
            ended_before=timestamps.from_text(fields["endedBefore"]),
            unannounced=tuple(fields["unannounced"].split()),
        )

    def write(self, sweep: SweepState) -> SweepState | None:
        """Write the state of this run, and return it as written; None when another run wrote since it was read."""
        fields: attributes.Fields = {
            "version": sweep.version + 1,
            "lookedAt": timestamps.to_text(sweep.counted_at),
            "endedBefore": timestamps.to_text(sweep.ended_before),
            "unannounced": " ".join(sweep.unannounced),
            **{_field_of(priority): timestamps.to_text(since) for priority, since in sweep.empty_since.items()},
        }
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item={**_KEY, **attributes.write(fields)},
                ConditionExpression="attribute_not_exists(pk) OR version = :version",
                ExpressionAttributeValues=attributes.write({":version": sweep.version}),
            )
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            return None
        return replace(sweep, version=sweep.version + 1)


def _field_of(priority: Priority) -> str:
    return f"{priority}EmptySince"
