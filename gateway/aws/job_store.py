"""Jobs in DynamoDB: one item each, every write conditional.

create    only when the id is free
claim     only when queued, or running with a lease that has run out     → attempt + 1
renew     ┐
give back ├ only while running, and only by the attempt that claimed it
finish    ┘
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gateway.aws import attributes
from gateway.domain import instant
from gateway.domain.job import Job, JobEnd, JobFailure, JobStatus, Output, Priority
from gateway.errors import JobNotClaimableError, LeaseLostError

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_SORT_KEY = "JOB"


class DynamoJobStore:
    """The JobStore port. `retention_days`: how long a record is kept after acceptance."""

    def __init__(self, client: DynamoDBClient, table_name: str, retention_days: int) -> None:
        self._client = client
        self._table_name = table_name
        self._retention = timedelta(days=retention_days)

    def create(self, job: Job) -> Job:
        """Put a new job. When its id is taken, return the job that has it instead, unchanged."""
        item = attributes.write(_to_fields(job, expires_at=job.created_at + self._retention))
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
            return _from_item(existing)
        return job

    def get(self, job_id: str) -> Job | None:
        """Read a job as last written, or None."""
        answer = self._client.get_item(TableName=self._table_name, Key=_key(job_id), ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else None

    def claim(self, job_id: str, *, executor_id: str, now: datetime, lease_until: datetime) -> Job:
        """Start an attempt. Raises JobNotClaimableError with what is stored."""
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=_key(job_id),
                UpdateExpression=(
                    "SET #status = :running, leaseOwner = :owner, leaseExpiresAt = :until, "
                    "startedAt = if_not_exists(startedAt, :nowText) REMOVE progress ADD attempt :one"
                ),
                ConditionExpression="#status = :queued OR (#status = :running AND leaseExpiresAt <= :now)",
                ExpressionAttributeNames={"#status": "status"},
                ExpressionAttributeValues=attributes.write(
                    {
                        ":queued": JobStatus.QUEUED,
                        ":running": JobStatus.RUNNING,
                        ":owner": executor_id,
                        ":until": instant.to_milliseconds(lease_until),
                        ":now": instant.to_milliseconds(now),
                        ":nowText": instant.to_text(now),
                        ":one": 1,
                    }
                ),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            standing = attributes.failed_condition(error)
            if standing is None:
                raise
            raise JobNotClaimableError(_from_item(standing) if standing else None) from None
        return _from_item(answer["Attributes"])

    def renew(self, job: Job, *, lease_until: datetime, progress: int | None) -> Job:
        """Prolong the lease and record the progress. Raises LeaseLostError."""
        fields: dict[str, str | int | None] = {"leaseExpiresAt": instant.to_milliseconds(lease_until)}
        return self._write_as_attempt(job, {**fields, "progress": progress})

    def give_back(self, job: Job) -> None:
        """End the attempt without ending the job. Raises LeaseLostError."""
        self._write_as_attempt(job, {"leaseExpiresAt": 0})

    def finish(self, job: Job, end: JobEnd) -> Job:
        """Write the one terminal state. Raises LeaseLostError."""
        succeeded = end.status is JobStatus.SUCCEEDED
        return self._write_as_attempt(
            job,
            {
                "status": end.status,
                "completedAt": instant.to_text(end.completed_at),
                "executionMs": end.execution_ms,
                "progress": 100 if succeeded else None,
                "outputs": None if end.outputs is None else attributes.to_json([_from_output(o) for o in end.outputs]),
                "error": None if end.error is None else attributes.to_json(_from_failure(end.error)),
            },
            removed=("leaseOwner", "leaseExpiresAt"),
        )

    def _write_as_attempt(self, job: Job, fields: dict[str, str | int | None], removed: tuple[str, ...] = ()) -> Job:
        present = {name: value for name, value in fields.items() if value is not None}
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in present)
        if removed:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        try:
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=_key(job.id),
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
            )
        except ClientError as error:
            if attributes.failed_condition(error) is None:
                raise
            raise LeaseLostError from None
        return _from_item(answer["Attributes"])


def _key(job_id: str) -> Any:  # noqa: ANN401  boto3's own type for keys is not importable
    return attributes.write({"pk": f"JOB#{job_id}", "sk": _SORT_KEY})


def _to_fields(job: Job, *, expires_at: datetime) -> dict[str, str | int | bool | None]:
    """Everything a new job has; what only an attempt writes is not there yet."""
    return {
        "pk": f"JOB#{job.id}",
        "sk": _SORT_KEY,
        "jobId": job.id,
        "owner": job.owner,
        "workflowId": job.workflow_id,
        "workflowVersion": job.workflow_version,
        "templateKey": job.template_key,
        "status": job.status,
        "priority": job.priority,
        "inputs": attributes.to_json(job.inputs),
        "params": attributes.to_json(job.params) if job.params else None,
        "seed": job.seed,
        "metadata": attributes.to_json(job.metadata) if job.metadata else None,
        "requestHash": job.request_hash,
        "correlationId": job.correlation_id,
        "createdAt": instant.to_text(job.created_at),
        "attempt": job.attempt,
        "expiresAt": instant.to_milliseconds(expires_at) // 1000,
    }


def _from_item(item: attributes.Item) -> Job:
    fields = attributes.read(item)

    def structured(name: str) -> Any:  # noqa: ANN401  JSON
        return json.loads(fields[name]) if name in fields else None

    def moment(name: str) -> datetime | None:
        return instant.from_text(fields[name]) if name in fields else None

    outputs = structured("outputs")
    error = structured("error")
    return Job(
        id=fields["jobId"],
        owner=fields["owner"],
        workflow_id=fields["workflowId"],
        workflow_version=fields["workflowVersion"],
        template_key=fields["templateKey"],
        status=JobStatus(fields["status"]),
        priority=Priority(fields["priority"]),
        inputs=structured("inputs"),
        params=structured("params") or {},
        seed=fields.get("seed"),
        metadata=structured("metadata") or {},
        request_hash=fields.get("requestHash"),
        correlation_id=fields["correlationId"],
        created_at=instant.from_text(fields["createdAt"]),
        attempt=fields["attempt"],
        lease_owner=fields.get("leaseOwner"),
        lease_expires_at=instant.from_milliseconds(fields["leaseExpiresAt"]) if "leaseExpiresAt" in fields else None,
        progress=fields.get("progress"),
        cancel_requested=fields.get("cancelRequested", False),
        started_at=moment("startedAt"),
        completed_at=moment("completedAt"),
        execution_ms=fields.get("executionMs"),
        outputs=None if outputs is None else tuple(_to_output(output) for output in outputs),
        error=None if error is None else JobFailure(**error),
    )


def _from_output(output: Output) -> dict[str, Any]:
    return {
        "filename": output.filename,
        "key": output.key,
        "size": output.size,
        "sha256": output.sha256,
        "contentType": output.content_type,
    }


def _to_output(stored: dict[str, Any]) -> Output:
    return Output(
        filename=stored["filename"],
        key=stored["key"],
        size=stored["size"],
        sha256=stored["sha256"],
        content_type=stored["contentType"],
    )


def _from_failure(failure: JobFailure) -> dict[str, Any]:
    return {
        "code": failure.code,
        "message": failure.message,
        "retryable": failure.retryable,
        "recommendation": failure.recommendation,
    }
