"""Both implementations of every port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gateway.aws.dynamodb.api_key_admin import DynamoApiKeyAdmin
from gateway.aws.dynamodb.api_key_store import DynamoApiKeyStore
from gateway.aws.dynamodb.audit_log import DynamoAuditLog
from gateway.aws.dynamodb.delivery_store import DynamoDeliveryStore
from gateway.aws.dynamodb.executor_store import DynamoExecutorStore
from gateway.aws.dynamodb.job_count_store import DynamoJobCountStore
from gateway.aws.dynamodb.job_list import DynamoJobList
from gateway.aws.dynamodb.job_store import DynamoJobStore
from gateway.aws.dynamodb.rate_limit_store import DynamoRateLimitStore
from gateway.aws.dynamodb.result_cache import DynamoResultCache
from gateway.aws.dynamodb.sweep_store import DynamoSweepStore
from gateway.aws.dynamodb.workflow_store import DynamoWorkflowStore
from gateway.aws.eventbridge import EventBridgeBus
from gateway.aws.s3 import S3ObjectStore
from gateway.aws.sqs.job_queue import SqsJobQueue
from gateway.aws.sqs.queue_depth import SqsQueueDepth
from gateway.aws.sqs.webhook_queue import SqsWebhookQueue
from gateway.clock import SYSTEM_CLOCK
from gateway.domain.job import Priority
from testing.ports import InMemoryPorts

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway import ports as port
    from gateway.aws.clients import Clients

RETENTION_DAYS = 30
QUEUE_VISIBILITY_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One implementation of all ports. mypy checks that each fits its protocol."""

    clock: port.Clock
    jobs: port.JobStore
    job_list: port.JobList
    deliveries: port.DeliveryStore
    audit: port.AuditLog
    workflows: port.WorkflowStore
    results: port.ResultCache
    keys: port.ApiKeyStore
    key_admin: port.ApiKeyAdmin
    rates: port.RateLimitStore
    job_counts: port.JobCountStore
    executors: port.ExecutorStore
    sweeps: port.SweepStore
    objects: port.ObjectStore
    queue: port.JobQueue
    impatient_queue: port.JobQueue  # the same queue, received with a visibility timeout of QUEUE_VISIBILITY_SECONDS
    queue_depth: port.QueueDepth
    webhooks: port.WebhookQueue
    events: port.EventBus
    receive_webhook: Callable[[int], tuple[str, str] | None]  # wait seconds -> body and receipt handle


@pytest.fixture(params=["in_memory", "aws"])
def ports(request: pytest.FixtureRequest) -> Ports:
    """Return new, empty ports: in memory, and on the emulator."""
    if request.param == "in_memory":
        return in_memory()
    return on_aws(request.getfixturevalue("aws"), request.getfixturevalue("aws_clients"))


def in_memory() -> Ports:
    """Make the ports in memory, driven by a fake clock."""
    made = InMemoryPorts()
    for queue in made.queue.queues.values():
        queue.visibility_timeout_seconds = QUEUE_VISIBILITY_SECONDS

    def receive_webhook(wait_seconds: int) -> tuple[str, str] | None:
        received = made.webhooks.queue.receive(wait_seconds)
        return None if received is None else (received.body, received.receipt_handle)

    return Ports(
        clock=made.clock,
        jobs=made.jobs,
        job_list=made.job_list,
        deliveries=made.deliveries,
        audit=made.audit,
        workflows=made.workflows,
        results=made.results,
        keys=made.keys,
        key_admin=made.key_admin,
        rates=made.rates,
        job_counts=made.job_counts,
        executors=made.executors,
        sweeps=made.sweeps,
        objects=made.objects,
        queue=made.queue,
        impatient_queue=made.queue,
        queue_depth=made.queue_depth,
        webhooks=made.webhooks,
        events=made.events,
        receive_webhook=receive_webhook,
    )


def on_aws(aws: dict[str, str], clients: Clients) -> Ports:
    """Make the ports on a table, queues, a bucket and a bus of the emulator."""
    dynamodb, table = clients.dynamodb, aws["TABLE_NAME"]
    audit = DynamoAuditLog(dynamodb, table, RETENTION_DAYS)
    objects = S3ObjectStore(clients.s3, aws["BUCKET_NAME"])
    urls = {priority: aws[f"{priority.upper()}_QUEUE_URL"] for priority in Priority}
    dead_letter_urls = {priority: aws[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"] for priority in Priority}

    def receive_webhook(wait_seconds: int) -> tuple[str, str] | None:
        received = clients.sqs.receive_message(QueueUrl=aws["WEBHOOK_QUEUE_URL"], WaitTimeSeconds=wait_seconds)
        messages = received.get("Messages", [])
        return (messages[0]["Body"], messages[0]["ReceiptHandle"]) if messages else None

    return Ports(
        clock=SYSTEM_CLOCK,
        jobs=DynamoJobStore(dynamodb, table, RETENTION_DAYS),
        job_list=DynamoJobList(dynamodb, table),
        deliveries=DynamoDeliveryStore(dynamodb, table),
        audit=audit,
        workflows=DynamoWorkflowStore(dynamodb, table, objects, audit),
        results=DynamoResultCache(dynamodb, table),
        keys=DynamoApiKeyStore(dynamodb, table),
        key_admin=DynamoApiKeyAdmin(dynamodb, table, audit),
        rates=DynamoRateLimitStore(dynamodb, table),
        job_counts=DynamoJobCountStore(dynamodb, table, RETENTION_DAYS),
        executors=DynamoExecutorStore(dynamodb, table),
        sweeps=DynamoSweepStore(dynamodb, table),
        objects=objects,
        queue=SqsJobQueue(clients.sqs, urls),
        impatient_queue=SqsJobQueue(clients.sqs, urls, visibility_timeout_seconds=QUEUE_VISIBILITY_SECONDS),
        queue_depth=SqsQueueDepth(clients.sqs, {each: (urls[each], dead_letter_urls[each]) for each in Priority}),
        webhooks=SqsWebhookQueue(clients.sqs, aws["WEBHOOK_QUEUE_URL"]),
        events=EventBridgeBus(clients.events, aws["EVENT_BUS_NAME"]),
        receive_webhook=receive_webhook,
    )
