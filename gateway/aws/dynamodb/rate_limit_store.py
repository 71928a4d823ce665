"""Counters of requests in DynamoDB: an item per subject and window, gone soon after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRateLimitStore:
    """The RateLimitStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more. ADD is atomic, so each caller gets a number of its own.

        boto3 repeats a call whose answer was lost, and may so count a request twice: never too few.
        """
        answer = self._client.update_item(
            TableName=self._table_name,
            Key=attributes.write({"pk": f"RATE#{subject}", "sk": str(window_starts_at_ms)}),
            UpdateExpression="ADD requests :one SET expiresAt = :expiresAt",
            ExpressionAttributeValues=attributes.write({":one": 1, ":expiresAt": expires_at}),
            ReturnValues="UPDATED_NEW",
        )
        return int(answer["Attributes"]["requests"]["N"])
