"""Create the resources of gateway.aws.resources in the embedded AWS."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.aws.resources import BUCKET, EVENT_BUS_NAME, JOB_QUEUES, TABLE, WEBHOOK_RULE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeDefinitionTypeDef,
        GlobalSecondaryIndexTypeDef,
        StreamSpecificationTypeDef,
    )
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import TargetTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleFilterTypeDef
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

    from gateway.aws.clients import Clients
    from gateway.aws.resources import BucketResource, IndexResource, QueueResource, RuleResource, TableResource

# Names of the variables that `provision` returns.
PROVISIONED = (
    "TABLE_NAME",
    "BUCKET_NAME",
    "EVENT_BUS_NAME",
    *(f"{priority.upper()}_QUEUE_URL" for priority in JOB_QUEUES),
    *(f"{priority.upper()}_DEAD_LETTER_QUEUE_URL" for priority in JOB_QUEUES),
    "WEBHOOK_QUEUE_URL",
)


def provision(clients: Clients, *, prefix: str, retention_days: int) -> dict[str, str]:
    """Create missing resources, and return the variables that the settings of every host read.

    `prefix` precedes every name, so that one emulator can have several sets of resources. Queue URLs contain the
    address of the emulator in this run, also when the queues were restored from a run on another port.
    """
    _create_table(clients.dynamodb, TABLE, f"{prefix}{TABLE.name}")
    _create_bucket(clients.s3, BUCKET, f"{prefix}{BUCKET.name}", retention_days)
    _create_bus(clients.events, f"{prefix}{EVENT_BUS_NAME}")
    queue_urls = {}
    for priority, queue in JOB_QUEUES.items():
        url, dead_letter_url = _create_queue(clients.sqs, queue, prefix)
        queue_urls[f"{priority.upper()}_QUEUE_URL"] = url
        queue_urls[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"] = dead_letter_url
    return {
        "TABLE_NAME": f"{prefix}{TABLE.name}",
        "BUCKET_NAME": f"{prefix}{BUCKET.name}",
        "EVENT_BUS_NAME": f"{prefix}{EVENT_BUS_NAME}",
        **queue_urls,
        "WEBHOOK_QUEUE_URL": _create_rule(clients, WEBHOOK_RULE, prefix),
    }


def _create_table(client: DynamoDBClient, table: TableResource, name: str) -> None:
    stream: StreamSpecificationTypeDef = {"StreamEnabled": True, "StreamViewType": table.stream_view}
    try:
        client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[
                {"AttributeName": table.partition_key, "KeyType": "HASH"},
                {"AttributeName": table.sort_key, "KeyType": "RANGE"},
            ],
            AttributeDefinitions=_key_attributes(table),
            GlobalSecondaryIndexes=[_index(index) for index in table.indexes],
            StreamSpecification=stream,
        )
    except client.exceptions.ResourceInUseException:
        # It exists from an earlier run, possibly of a release without streams.
        if not client.describe_table(TableName=name)["Table"].get("StreamSpecification", {}).get("StreamEnabled"):
            client.update_table(TableName=name, StreamSpecification=stream)
        return
    client.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute}
    )


def _key_attributes(table: TableResource) -> list[AttributeDefinitionTypeDef]:
    keyed: list[TableResource | IndexResource] = [table, *table.indexes]
    names = dict.fromkeys(name for each in keyed for name in (each.partition_key, each.sort_key))
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def _index(index: IndexResource) -> GlobalSecondaryIndexTypeDef:
    return {
        "IndexName": index.name,
        "KeySchema": [
            {"AttributeName": index.partition_key, "KeyType": "HASH"},
            {"AttributeName": index.sort_key, "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.projected)},
    }


def _create_bucket(client: S3Client, bucket: BucketResource, name: str, retention_days: int) -> None:
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=name)
    client.put_bucket_cors(
        Bucket=name,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": [*bucket.cors.origins],
                    "AllowedMethods": [*bucket.cors.methods],
                    "AllowedHeaders": [*bucket.cors.headers],
                    "ExposeHeaders": [*bucket.cors.exposed_headers],
                }
            ]
        },
    )
    tag, value = bucket.expiring_tag
    filters: dict[str, tuple[LifecycleRuleFilterTypeDef, int]] = {
        prefix: ({"Prefix": prefix}, retention_days) for prefix in bucket.expiring_prefixes
    }
    filters[tag] = ({"Tag": {"Key": tag, "Value": value}}, retention_days + 1)
    client.put_bucket_lifecycle_configuration(
        Bucket=name,
        LifecycleConfiguration={
            "Rules": [
                {"ID": f"expire {what}", "Status": "Enabled", "Filter": which, "Expiration": {"Days": days}}
                for what, (which, days) in filters.items()
            ]
        },
    )


def _create_bus(client: EventBridgeClient, name: str) -> None:
    with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_event_bus(Name=name)


def _create_queue(client: SQSClient, queue: QueueResource, prefix: str) -> tuple[str, str]:
    dead_letter_url = _queue(
        client,
        f"{prefix}{queue.dead_letter_name}",
        {
            "VisibilityTimeout": str(queue.dead_letter_visibility_seconds),
            "MessageRetentionPeriod": str(queue.retention_seconds),
        },
    )
    redrive = {"deadLetterTargetArn": _arn_of(client, dead_letter_url), "maxReceiveCount": queue.max_receives}
    url = _queue(
        client,
        f"{prefix}{queue.name}",
        {
            "VisibilityTimeout": str(queue.visibility_seconds),
            "MessageRetentionPeriod": str(queue.retention_seconds),
            "RedrivePolicy": json.dumps(redrive),
        },
    )
    return url, dead_letter_url


def _create_rule(clients: Clients, rule: RuleResource, prefix: str) -> str:
    """Return the URL of the rule's queue."""
    url, _ = _create_queue(clients.sqs, rule.queue, prefix)
    name, bus_name = f"{prefix}{rule.name}", f"{prefix}{EVENT_BUS_NAME}"
    clients.events.put_rule(Name=name, EventBusName=bus_name, EventPattern=json.dumps(rule.pattern))
    target: TargetTypeDef = {
        "Id": "queue",
        "Arn": _arn_of(clients.sqs, url),
        "InputPath": rule.input_path,
        "SqsParameters": {"MessageGroupId": rule.group_path},  # ministack 1.5.33 ignores it
    }
    clients.events.put_targets(Rule=name, EventBusName=bus_name, Targets=[target])
    return url


def _queue(client: SQSClient, name: str, attributes: Mapping[QueueAttributeNameType, str]) -> str:
    # Checked before it is created: ministack 1.5.33 keys queues by their URL, port and all, so that creating one
    # that it restored under another port creates a second, empty queue, which hides the first.
    try:
        url = queue_url(client, name)
    except client.exceptions.QueueDoesNotExist:
        return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url


def queue_url(client: SQSClient, name: str) -> str:
    """Return the URL of a queue by its full name. Raises QueueDoesNotExist."""
    url = client.get_queue_url(QueueName=name)["QueueUrl"]
    # The URL of a restored queue has the old port; the emulator only uses the path.
    return f"{client.meta.endpoint_url}{urlsplit(url).path}"


def _arn_of(client: SQSClient, url: str) -> str:
    """Return the ARN of a queue: the path of its URL is its account and its name."""
    account, name = urlsplit(url).path.strip("/").split("/")
    return f"arn:aws:sqs:{client.meta.region_name}:{account}:{name}"
