"""Deliveries in DynamoDB: attributes of the job's item, every write conditional.

begin     only for an ended job with a callback, not delivered yet,
          which no other attempt holds                                → count + 1
record    only by the attempt that began last                         → held no longer
reopen    only for an ended job with a callback                       → pending
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.aws import attributes, delivery_item, job_item
from gateway.domain import instant
from gateway.domain.delivery import HELD_FOR, DeliveryStatus
from gateway.domain.job import JobStatus
from gateway.errors import DeliveryNotDueError, LeaseLostError, StateConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemOutputTypeDef

    from gateway.domain.delivery import Delivery
    from gateway.domain.job import Job

_ENDED = "attribute_exists(callbackUrl) AND #status IN (:succeeded, :failed, :canceled)"
_ENDS = {":succeeded": JobStatus.SUCCEEDED, ":failed": JobStatus.FAILED, ":canceled": JobStatus.CANCELED}


class DynamoDeliveryStore:
    """The DeliveryStore port."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def begin(self, job_id: str, *, now: datetime) -> Job:
        """Begin an attempt; return the job as it was before. Raises DeliveryNotDueError with what is stored."""
        try:
            answer = self._update(
                job_id,
                "SET deliveryHeldSince = :now ADD deliveryCount :one",
                f"{_ENDED} AND (attribute_not_exists(deliveryStatus) OR deliveryStatus <> :delivered) "
                "AND (attribute_not_exists(deliveryHeldSince) OR deliveryHeldSince <= :free)",
                {
                    **_ENDS,
                    ":delivered": DeliveryStatus.DELIVERED,
                    ":now": instant.to_milliseconds(now),
                    ":free": instant.to_milliseconds(now - HELD_FOR),
                    ":one": 1,
                },
            )
        except ClientError as error:
            standing = attributes.failed_condition(error)
            if standing is None:
                raise
            raise DeliveryNotDueError(job_item.read(standing) if standing else None) from None
        return job_item.read(answer["Attributes"])

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Write how the attempt ended that began last. Raises LeaseLostError when another has begun since."""
        try:
            self._update(
                job_id,
                "SET deliveryStatus = :state, deliveryLog = :log REMOVE deliveryHeldSince",
                f"{_ENDED} AND deliveryCount = :mine",
                {
                    **_ENDS,
                    ":state": delivery.status,
                    ":log": delivery_item.log_text(delivery),
                    ":mine": delivery.count,
                },
            )
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            raise LeaseLostError from None

    def reopen(self, job_id: str) -> None:
        """Make a delivery pending, whatever it was. Raises StateConflictError when there is none to make."""
        try:
            self._update(job_id, "SET deliveryStatus = :pending", _ENDED, {**_ENDS, ":pending": DeliveryStatus.PENDING})
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            raise StateConflictError(
                "There is a webhook to send once the job has ended, if it has a callbackUrl."
            ) from None

    def _update(self, job_id: str, update: str, condition: str, values: attributes.Fields) -> UpdateItemOutputTypeDef:
        return self._client.update_item(
            TableName=self._table_name,
            Key=job_item.key(job_id),
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues=attributes.write(values),
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
