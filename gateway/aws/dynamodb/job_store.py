"""Jobs in DynamoDB: one item each, every write conditional.

create       only when the id is free
claim             only when queued, or running with an expired lease             → attempt + 1
renew             ┐
release           ├ only while running, and only by the attempt that claimed it
finish            ┘
cancel            ends a job without a live lease; otherwise requests it of the attempt
fail_if_unleased  ends a job without a live lease: its attempt, if it returns, has lost its lease

A write can succeed and its response be lost. boto3 then retries it, and the retry meets the result of the first try:

    claim     held by this claimId ─▶ response lost ─▶ retry: held, by this claimId    ─▶ the claim is valid
    an end    ended at this time   ─▶ response lost ─▶ retry: ended, at this time      ─▶ the end is valid
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
    """The condition of a write does not hold; `job` is the stored job, if there is one."""

    def __init__(self, stored: attributes.Item, refusal: ClientError) -> None:
        super().__init__()
        self.item = stored
        self.job = job_item.read(stored) if stored else None
        self._repeated = bool(refusal.response["ResponseMetadata"].get("RetryAttempts"))

    def own_end(self, status: JobStatus, ended_at: datetime) -> Job | None:
        """Return the job if an earlier try of the same write has ended it."""
        if self._repeated and self.job and (self.job.status, self.job.completed_at) == (status, ended_at):
            return self.job
        return None


class DynamoJobStore:
    """Implements the port `JobStore`. `retention_days`: how long an item is retained after acceptance."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=retention_days)

    def create(self, job: Job) -> Job:
        """Store a new job. If its id is taken, return the stored job instead, unchanged."""
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
        response = self._client.get_item(TableName=self._table_name, Key=job_item.key(job_id), ConsistentRead=True)
        return job_item.read(response["Item"]) if "Item" in response else None

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt. Raises JobNotClaimableError with the stored job."""
        # The executor's id is not enough: one executor can claim a job twice at a time when its message came twice.
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
        """Renew the lease, and store the progress and the log unless they are None. Raises LeaseLostError."""
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
        """Write the terminal status, and return the job, without its cache key. Raises LeaseLostError."""
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
        """Cancel a job without a live lease; request it of the attempt that holds any other job.

        Returns the job as it is then. Raises StateConflictError when it has already ended, or does not exist.
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
            # If the attempt was released in between, the next claim returns the request.
            return self._update(
                job_id,
                "SET cancelRequested = :true",
                "#status = :running",
                {":true": True, ":running": JobStatus.RUNNING},
            )
        except _ConditionFailedError:
            raise StateConflictError("The job has already ended; there is nothing to cancel.") from None

    def fail_if_unleased(
        self, job_id: str, failure: JobFailure, *, now: datetime, leases_expired_before: datetime
    ) -> Job:
        """Fail a queued job, or a running one whose lease expired before or at `leases_expired_before`.

        Returns the ended job. Raises JobNotClaimableError with the stored job.
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
                names=("status", "error"),
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
        names: Sequence[str] = ("status",),
    ) -> Job:
        """Update an item. `names`: the attributes that the expressions write as `#name`."""
        try:
            response = self._client.update_item(
                TableName=self._table_name,
                Key=job_item.key(job_id),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in names},
                ExpressionAttributeValues=attributes.write(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            stored = attributes.failed_condition(error)
            if stored is None:
                raise
            raise _ConditionFailedError(stored, error) from None
        return job_item.read(response["Attributes"])

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
        return self._update(
            job.id,
            expression,
            condition="#status = :running AND #attempt = :myAttempt",
            values={
                **{f":{name}": value for name, value in present.items()},
                ":running": JobStatus.RUNNING,
                ":myAttempt": job.attempt,
            },
            names=tuple({*present, *removed, "status", "attempt"}),
        )
