"""Adapters on DynamoDB: item sizes, expiry and calls. What their ports promise is in tests/ports."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.aws.dynamodb.executor_store import DynamoExecutorStore
from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore
from gateway.domain.model_files import listed
from gateway.domain.principal import ApiKey, Role, hash_key
from gateway.domain.workflow import WorkflowTemplate
from tests.component.api import aws_calls
from tests.component.samples import BY, LATER, NOW, new_job

if TYPE_CHECKING:
    from gateway.aws.clients import Clients
    from gateway.aws.dynamodb.job_store import DynamoJobStore
    from gateway.aws.s3 import S3ObjectStore


def test_the_largest_accepted_inputs_fit_into_an_item(jobs: DynamoJobStore) -> None:
    """A job with the largest inputs that the gateway accepts can be stored."""
    job = new_job(inputs={"a": "é" * 65_000, "b": "x" * 100_000}, metadata={"m": "x" * 8000})
    jobs.create(job)
    assert jobs.get(job.id) == job


def test_a_job_expires_after_its_retention(jobs: DynamoJobStore, aws: dict[str, str], aws_clients: Clients) -> None:
    """The item's time to live is thirty days after acceptance."""
    job = new_job()
    jobs.create(job)
    key = {"pk": {"S": f"JOB#{job.id}"}, "sk": {"S": "JOB"}}
    item = aws_clients.dynamodb.get_item(TableName=aws["TABLE_NAME"], Key=key)["Item"]
    assert int(item["expiresAt"]["N"]) == int((NOW + timedelta(days=30)).timestamp())


def test_a_template_is_read_once(aws: dict[str, str], aws_clients: Clients, objects: S3ObjectStore) -> None:
    """A process caches the templates that it has read."""
    audit = DynamoAuditLog(aws_clients.dynamodb, aws["TABLE_NAME"], 30)
    workflows = DynamoWorkflowStore(aws_clients.dynamodb, aws["TABLE_NAME"], objects, audit)
    template = WorkflowTemplate.register({"1": {"class_type": "A", "inputs": {}}}, None, None)
    key = workflows.create("w", "W", "", template, BY).template_key
    with aws_calls(aws_clients) as calls:
        assert workflows.template(key) is workflows.template(key)
    assert calls == ["s3.GetObject"]


def test_an_expired_key_stays_in_the_table(aws: dict[str, str], aws_clients: Clients) -> None:
    """Keys have no time to live: an expired one is still listed as such."""
    keys = DynamoApiKeyStore(aws_clients.dynamodb, aws["TABLE_NAME"])
    key = ApiKey(sha256=hash_key("s3cret"), name="ci", owner="Ada", role=Role.USER, created_at=NOW)
    keys.put(replace(key, expires_at=LATER))
    items = aws_clients.dynamodb.scan(TableName=aws["TABLE_NAME"])["Items"]
    assert len(items) == 2  # one by hash, one in the list
    assert not [item for item in items if "expiresAt" in item]


def test_the_longest_model_list_fits_into_an_item(aws: dict[str, str], aws_clients: Clients) -> None:
    """The limits on listed models keep any executor's list small enough to be stored."""
    executors = DynamoExecutorStore(aws_clients.dynamodb, aws["TABLE_NAME"])
    folders = listed({f"{number:03}": [f"{name:04}{'ü' * 100}" for name in range(1000)] for number in range(100)})
    executors.put_models("gpu-1", folders, expires_at=LATER)
    assert executors.models() == {"gpu-1": folders}
