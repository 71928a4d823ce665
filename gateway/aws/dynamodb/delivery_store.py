"""Webhook deliveries in DynamoDB: attributes of the job's item, every write conditional.

begin     only for an ended job with a callback, not delivered yet,
          that is due, and that no other attempt holds                → count + 1, not reopened
record    only by the latest attempt                                  → not held
reopen    only for an ended job with a callback                       → pending, reopened, due at once

"Reopened" is the attribute deliveryAsked. It makes sure that a running attempt, when it is recorded, does not close a
delivery that was reopened meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.aws.dynamodb import attributes, delivery_item, job_item
from gateway.domain import timestamps
from gateway.domain.delivery import ATTEMPT_HOLD, CLOCK_SKEW, DeliveryStatus
from gateway.domain.job import JobStatus
from gateway.domain.job_errors import DeliveryNotDueError
from gateway.errors import LeaseLostError, StateConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import UpdateItemOutputTypeDef

    from gateway.domain.delivery import Delivery
    from gateway.domain.job import Job

_ENDED = "attribute_exists(callbackUrl) AND #status IN (:succeeded, :failed, :canceled)"
_ENDS = {":succeeded": JobStatus.SUCCEEDED, ":failed": JobStatus.FAILED, ":canceled": JobStatus.CANCELED}


class DynamoDeliveryStore:
    """Implements the port `DeliveryStore`."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def begin(self, job_id: str, *, now: datetime, last: bool) -> Job:
        """Begin an attempt; return the job as it was before. Raises DeliveryNotDueError with the stored job."""
        try:
            response = self._update(
                job_id,
                f"SET deliveryHeldSince = :now{', deliveryStatus = :failed' if last else ''} "
                "REMOVE deliveryAsked ADD deliveryCount :one",
                "(attribute_not_exists(deliveryStatus) OR deliveryStatus <> :delivered) "
                "AND (attribute_not_exists(deliveryHeldSince) OR deliveryHeldSince <= :free) "
                "AND NOT (deliveryStatus = :retrying AND deliveryDueAt > :due)",
                {
                    ":delivered": DeliveryStatus.DELIVERED,
                    ":retrying": DeliveryStatus.RETRYING,
                    ":now": timestamps.to_milliseconds(now),
                    ":free": timestamps.to_milliseconds(now - ATTEMPT_HOLD),
                    ":due": timestamps.to_milliseconds(now + CLOCK_SKEW),
                    ":one": 1,
                    **({":failed": DeliveryStatus.FAILED} if last else {}),
                },
            )
        except ClientError as error:
            stored = attributes.failed_condition(error)
            if stored is None:
                raise
            raise DeliveryNotDueError(job_item.read(stored) if stored else None) from None
        return job_item.read(response["Attributes"])

    def record(self, job_id: str, delivery: Delivery) -> None:
        """Write how the latest attempt ended. Raises LeaseLostError when a later attempt has begun.

        A delivery that was reopened during the attempt stays pending; only its log is written.
        """
        mine: attributes.Fields = {":mine": delivery.attempt_count, ":log": delivery_item.log_text(delivery)}
        due = delivery_item.due_fields(delivery)
        try:
            self._update(
                job_id,
                "SET deliveryLog = :log, deliveryStatus = :state"
                + "".join(f", {name} = :{name}" for name in due)
                + " REMOVE deliveryHeldSince",
                "deliveryCount = :mine AND attribute_not_exists(deliveryAsked)",
                {**mine, ":state": delivery.status, **{f":{name}": value for name, value in due.items()}},
            )
        except ClientError as error:
            stored = attributes.failed_condition(error)
            if stored is None:
                raise
            if "deliveryAsked" not in stored:
                raise LeaseLostError from None
            self._update(job_id, "SET deliveryLog = :log REMOVE deliveryHeldSince", "deliveryCount = :mine", mine)

    def reopen(self, job_id: str) -> None:
        """Make a delivery pending, whatever it was. Raises StateConflictError when the job has no delivery."""
        try:
            self._update(
                job_id,
                "SET deliveryStatus = :pending, deliveryAsked = :yes",
                "",
                {":pending": DeliveryStatus.PENDING, ":yes": True},
            )
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            raise StateConflictError(
                "The job has no webhook to send: it has no callbackUrl, or has not ended."
            ) from None

    def _update(self, job_id: str, update: str, condition: str, values: attributes.Fields) -> UpdateItemOutputTypeDef:
        """Update an ended job with a callback, if the condition holds too."""
        return self._client.update_item(
            TableName=self._table_name,
            Key=job_item.key(job_id),
            UpdateExpression=update,
            ConditionExpression=f"{_ENDED} AND {condition}" if condition else _ENDED,
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues=attributes.write({**_ENDS, **values}),
            ReturnValues="ALL_OLD",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
