"""Counts of requests in DynamoDB: one item per subject and window, which expires soon after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.aws.dynamodb import attributes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRateLimitStore:
    """Implements the port `RateLimitStore`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def add(self, subject: str, window_starts_at_ms: int, *, expires_at: int) -> int:
        """Count one more request. ADD is atomic, so concurrent requests get different counts.

        boto3 retries a call whose response was lost, so a request may be counted twice, but is never missed.
        """
        response = self._client.update_item(
            TableName=self._table_name,
            Key=attributes.write({"pk": f"RATE#{subject}", "sk": str(window_starts_at_ms)}),
            UpdateExpression="ADD requests :one SET expiresAt = :expiresAt",
            ExpressionAttributeValues=attributes.write({":one": 1, ":expiresAt": expires_at}),
            ReturnValues="UPDATED_NEW",
        )
        return int(response["Attributes"]["requests"]["N"])
