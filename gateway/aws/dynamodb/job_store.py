"""Jobs in DynamoDB: one item each, every write conditional.

create       only when the id is free
claim        only when queued, or running with a lease that has run out     → attempt + 1
renew        ┐
give back    ├ only while running, and only by the attempt that claimed it
finish       ┘
cancel       ends what nobody holds; asks the holder of what runs
fail unheld  ends what nobody holds: an attempt that comes back to it then has lost its lease

A write can be done and its answer lost. boto3 then sends it again, and the second time meets the first's own work:

    claim     held by this claimId ─▶ answer lost ─▶ again: held, but by this claimId   ─▶ the claim stands
    an end    ended at this instant ─▶ answer lost ─▶ again: ended, but at this instant ─▶ the end stands
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from gateway.aws.dynamodb import attributes, job_item
from gateway.domain import timestamps
from gateway.domain.job import Job, JobEnd, JobStatus
from gateway.domain.job_errors import JobNotClaimableError
from gateway.errors import LeaseLostError, StateConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from gateway.domain.job import JobFailure, LogLine


class _ConditionFailedError(Exception):
    """A conditional write met a job in another state, or none."""

    def __init__(self, standing: attributes.Item, refusal: ClientError) -> None:
        super().__init__()
        self.item = standing
        self.job = job_item.read(standing) if standing else None
        self._repeated = bool(refusal.response["ResponseMetadata"].get("RetryAttempts"))

    def own_end(self, status: JobStatus, ended_at: datetime) -> Job | None:
        """Return the job when an earlier try of this very write has ended it."""
        if self._repeated and self.job and (self.job.status, self.job.completed_at) == (status, ended_at):
            return self.job
        return None


class DynamoJobStore:
    """The JobStore port. `retention_days`: how long a record is kept after acceptance."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=retention_days)

    def create(self, job: Job) -> Job:
        """Put a new job. When its id is taken, return the job that has it instead, unchanged."""
        item = attributes.write(job_item.fields_of(job, expires_at=job.created_at + self._retention))
        try:
            self._client.put_item(
                TableName=self._table_name,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            existing = attributes.failed_condition(error)
            if not existing:
                raise
            return job_item.read(existing)
        return job

    def get(self, job_id: str) -> Job | None:
        """Read a job as last written, or None."""
        answer = self._client.get_item(TableName=self._table_name, Key=job_item.key(job_id), ConsistentRead=True)
        return job_item.read(answer["Item"]) if "Item" in answer else None

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt. Raises JobNotClaimableError with what is stored."""
        # The executor's name would not do: a message that came twice can have it claim a job twice at a time.
        claim_id = {"S": secrets.token_hex(4)}
        try:
            return self._update(
                job_id,
                "SET #status = :running, leaseOwner = :owner, leaseExpiresAt = :until, claimId = :claim, "
                "startedAt = if_not_exists(startedAt, :now) REMOVE progress ADD attempt :one",
                "#status = :queued OR (#status = :running AND leaseExpiresAt <= :now)",
                {
                    ":queued": JobStatus.QUEUED,
                    ":running": JobStatus.RUNNING,
                    ":owner": executor_id,
                    ":claim": claim_id["S"],
                    ":until": timestamps.to_milliseconds(lease_until),
                    ":now": timestamps.to_milliseconds(now),
                    ":one": 1,
                },
            )
        except _ConditionFailedError as refused:
            if refused.job is not None and refused.item.get("claimId") == claim_id:
                return refused.job
            raise JobNotClaimableError(refused.job) from None

    def renew(
        self, job: Job, *, lease_until: datetime, progress: int | None, log: Sequence[LogLine] | None = None
    ) -> Job:
        """Prolong the lease and record the progress, and the log when there is a new one. Raises LeaseLostError."""
        return self._write_as_attempt(
            job,
            {
                "leaseExpiresAt": timestamps.to_milliseconds(lease_until),
                "progress": progress,
                "log": job_item.pack_log(log) if log else None,
            },
        )

    def release(self, job: Job, log: Sequence[LogLine] = (), *, count_attempt: bool = True) -> None:
        """End the attempt without ending the job. Raises LeaseLostError."""
        self._write_as_attempt(
            job,
            {
                "leaseExpiresAt": 0,
                "uncounted": None if count_attempt else job.uncounted_attempts + 1,
                "log": job_item.pack_log(log) if log else None,
            },
        )

    def finish(self, job: Job, end: JobEnd) -> Job:
        """Write the one terminal state; the job that comes back has no cache key any more. Raises LeaseLostError."""
        try:
            return self._update_as_attempt(
                job,
                {
                    "status": end.status,
                    "completedAt": timestamps.to_milliseconds(end.completed_at),
                    "executionMs": end.execution_ms,
                    "outputs": None if end.outputs is None else job_item.pack_outputs(end.outputs),
                    "log": job_item.pack_log(end.log) if end.log else None,
                    "error": None if end.error is None else job_item.failure_text(end.error),
                },
                removed=("leaseOwner", "leaseExpiresAt", "claimId", "cacheKey"),
            )
        except _ConditionFailedError as refused:
            ended = refused.own_end(end.status, end.completed_at)
            if ended is None or ended.attempt != job.attempt:
                raise LeaseLostError from None
            return ended

    def cancel(self, job_id: str, *, now: datetime) -> Job:
        """End a job that no attempt holds; ask the attempt that holds a running one to stop.

        Returns the job as it is then. Raises StateConflictError when it has ended.
        """
        try:
            return self._update(
                job_id,
                "SET #status = :canceled, completedAt = :now REMOVE leaseOwner, leaseExpiresAt, claimId",
                "#status = :queued OR (#status = :running AND leaseExpiresAt <= :now)",
                {
                    ":canceled": JobStatus.CANCELED,
                    ":queued": JobStatus.QUEUED,
                    ":running": JobStatus.RUNNING,
                    ":now": timestamps.to_milliseconds(now),
                },
            )
        except _ConditionFailedError as refused:
            ended = refused.own_end(JobStatus.CANCELED, now)
            if ended is not None:
                return ended
        try:
            # An attempt that was given back in between meets the request at its next claim.
            return self._update(
                job_id,
                "SET cancelRequested = :true",
                "#status = :running",
                {":true": True, ":running": JobStatus.RUNNING},
            )
        except _ConditionFailedError:
            raise StateConflictError("The job has ended already; there is nothing to cancel.") from None

    def fail_if_unleased(
        self, job_id: str, failure: JobFailure, *, now: datetime, leases_expired_before: datetime
    ) -> Job:
        """Fail a job that waits, or whose attempt's lease had run out by `leases_expired_before`.

        Returns the ended job. Raises JobNotClaimableError with what is stored.
        """
        try:
            return self._update(
                job_id,
                "SET #status = :failed, completedAt = :now, #error = :error REMOVE leaseOwner, leaseExpiresAt, claimId",
                "#status = :queued OR (#status = :running AND leaseExpiresAt <= :since)",
                {
                    ":failed": JobStatus.FAILED,
                    ":queued": JobStatus.QUEUED,
                    ":running": JobStatus.RUNNING,
                    ":since": timestamps.to_milliseconds(leases_expired_before),
                    ":now": timestamps.to_milliseconds(now),
                    ":error": job_item.failure_text(failure),
                },
                reserved_words=("status", "error"),
            )
        except _ConditionFailedError as refused:
            ended = refused.own_end(JobStatus.FAILED, now)
            if ended is None:
                raise JobNotClaimableError(refused.job) from None
            return ended

    def _update(
        self,
        job_id: str,
        update: str,
        condition: str,
        values: attributes.Fields,
        reserved_words: Sequence[str] = ("status",),
    ) -> Job:
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=job_item.key(job_id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in reserved_words},
                ExpressionAttributeValues=attributes.write(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            standing = attributes.failed_condition(error)
            if standing is None:
                raise
            raise _ConditionFailedError(standing, error) from None
        return job_item.read(answer["Attributes"])

    def _write_as_attempt(self, job: Job, fields: dict[str, attributes.Value | None]) -> Job:
        try:
            return self._update_as_attempt(job, fields)
        except _ConditionFailedError:
            raise LeaseLostError from None

    def _update_as_attempt(
        self, job: Job, fields: dict[str, attributes.Value | None], removed: tuple[str, ...] = ()
    ) -> Job:
        present = {name: value for name, value in fields.items() if value is not None}
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in present)
        if removed:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=job_item.key(job.id),
                UpdateExpression=expression,
                ConditionExpression="#status = :running AND #attempt = :myAttempt",
                ExpressionAttributeNames={f"#{name}": name for name in {*present, *removed, "status", "attempt"}},
                ExpressionAttributeValues=attributes.write(
                    {
                        **{f":{name}": value for name, value in present.items()},
                        ":running": JobStatus.RUNNING,
                        ":myAttempt": job.attempt,
                    }
                ),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            standing = attributes.failed_condition(error)
            if standing is None:
                raise
            raise _ConditionFailedError(standing, error) from None
        return job_item.read(answer["Attributes"])
