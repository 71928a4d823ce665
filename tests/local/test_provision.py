"""Provisioning the resources in the embedded AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.aws.clients import Clients
from gateway.aws.resources import BUCKET, JOB_QUEUES, QUEUE_SOURCES, TABLE, WEBHOOK_QUEUE
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings
from local.emulator import Emulator
from local.provision import provision

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_environment_is_complete(aws: dict[str, str]) -> None:
    """The returned variables are enough for all handlers and for the executor."""
    hosts = (ApiSettings, BackgroundSettings, ExecutorSettings)
    assert {host.from_environment(aws).table_name for host in hosts} == {aws["TABLE_NAME"]}


def test_the_table_is_the_one_in_resources(aws: dict[str, str], aws_clients: Clients) -> None:
    """Key, billing and time-to-live attribute are those of resources.py."""
    table = aws_clients.dynamodb.describe_table(TableName=aws["TABLE_NAME"])["Table"]
    ttl = aws_clients.dynamodb.describe_time_to_live(TableName=aws["TABLE_NAME"])["TimeToLiveDescription"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == [TABLE.partition_key, TABLE.sort_key]
    assert (ttl["AttributeName"], ttl["TimeToLiveStatus"]) == (TABLE.ttl_attribute, "ENABLED")
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": TABLE.stream_view}


def test_a_table_of_an_earlier_release_gets_its_stream(aws: dict[str, str], aws_clients: Clients) -> None:
    """Data of a release without streams still works; an existing stream is kept."""
    name, prefix = aws["TABLE_NAME"], aws["TABLE_NAME"].removesuffix(TABLE.name)
    aws_clients.dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    arns = set()
    for _ in range(2):
        provision(aws_clients, prefix=prefix, retention_days=30)
        table = aws_clients.dynamodb.describe_table(TableName=name)["Table"]
        assert table["StreamSpecification"]["StreamEnabled"]
        arns.add(table["LatestStreamArn"])
    assert len(arns) == 1


def test_the_queues_are_those_in_resources(aws: dict[str, str], aws_clients: Clients) -> None:
    """Each priority has a queue with the timeouts of resources.py and its own dead-letter queue."""
    for priority, queue in JOB_QUEUES.items():
        url = aws[f"{priority.upper()}_QUEUE_URL"]
        attributes = aws_clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        redrive = json.loads(attributes["RedrivePolicy"])
        assert attributes["VisibilityTimeout"] == str(queue.visibility_seconds)
        assert attributes["MessageRetentionPeriod"] == str(queue.retention_seconds)
        assert redrive["maxReceiveCount"] == queue.max_receives
        assert redrive["deadLetterTargetArn"].endswith(queue.dead_letter_name)
        dead_letter_url = aws[f"{priority.upper()}_DEAD_LETTER_QUEUE_URL"]
        names: Any = ["QueueArn", "VisibilityTimeout", "MessageRetentionPeriod"]
        dead = aws_clients.sqs.get_queue_attributes(QueueUrl=dead_letter_url, AttributeNames=names)["Attributes"]
        assert dead["QueueArn"] == redrive["deadLetterTargetArn"]
        assert dead["VisibilityTimeout"] == str(queue.dead_letter_visibility_seconds)
        assert dead["MessageRetentionPeriod"] == str(queue.retention_seconds)


def test_the_visibility_timeout_covers_the_function() -> None:
    """It is the one that Lambda recommends, so that no batch is received twice."""
    hidden_seconds = {queue.dead_letter_name: queue.dead_letter_visibility_seconds for queue in JOB_QUEUES.values()}
    hidden_seconds[WEBHOOK_QUEUE.name] = WEBHOOK_QUEUE.visibility_seconds
    for source in QUEUE_SOURCES:
        assert hidden_seconds[source.queue_name] >= source.function.queue_visibility_seconds


def test_the_bucket_has_the_expiry_rules_of_resources(aws: dict[str, str], aws_clients: Clients) -> None:
    """Outputs and prompts expire after the retention time, retired templates a day later; others do not."""
    rules = aws_clients.s3.get_bucket_lifecycle_configuration(Bucket=aws["BUCKET_NAME"])["Rules"]
    tag, value = BUCKET.expiring_tag
    assert [(rule["Filter"], rule["Expiration"]["Days"]) for rule in rules] == [
        *(({"Prefix": prefix}, 30) for prefix in BUCKET.expiring_prefixes),
        ({"Tag": {"Key": tag, "Value": value}}, 31),
    ]


def test_web_pages_can_read_presigned_urls(aws: dict[str, str], aws_clients: Clients) -> None:
    """From any origin, with any header, read-only: otherwise redirects of the API to files fail in browsers."""
    (rule,) = aws_clients.s3.get_bucket_cors(Bucket=aws["BUCKET_NAME"])["CORSRules"]
    assert (rule["AllowedOrigins"], rule.get("AllowedHeaders")) == (["*"], ["*"])
    assert set(rule["AllowedMethods"]) == {"GET", "HEAD"}
    assert set(rule.get("ExposeHeaders", [])) == set(BUCKET.cors.exposed_headers)


def test_provisioning_again_changes_nothing(aws: dict[str, str], aws_clients: Clients) -> None:
    """A second run over the same names succeeds, keeps stored data and returns the same environment."""
    aws_clients.dynamodb.put_item(TableName=aws["TABLE_NAME"], Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    prefix = aws["TABLE_NAME"].removesuffix(TABLE.name)
    again = provision(aws_clients, prefix=prefix, retention_days=30)
    assert again.items() <= aws.items()
    assert aws_clients.dynamodb.scan(TableName=aws["TABLE_NAME"])["Count"] == 1


def test_sets_with_different_prefixes_are_separate(aws: dict[str, str], aws_clients: Clients) -> None:
    """Two sets in one emulator share no resource."""
    other = provision(aws_clients, prefix="other-", retention_days=30)
    assert not {aws[name] for name in other} & set(other.values())


def test_stored_state_is_found_on_another_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items, messages and objects survive a restart, although queue URLs contain the port, and the port changes."""

    def start() -> tuple[Emulator, Clients, dict[str, str]]:
        emulator = Emulator(state_dir=tmp_path / "state", work_dir=tmp_path).__enter__()
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        clients = Clients()
        return emulator, clients, provision(clients, prefix="kept-", retention_days=30)

    emulator, clients, names = start()
    clients.dynamodb.put_item(TableName=names["TABLE_NAME"], Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    clients.sqs.send_message(QueueUrl=names["HIGH_QUEUE_URL"], MessageBody="hello")
    clients.s3.put_object(Bucket=names["BUCKET_NAME"], Key="outputs/a b/ü.png", Body=b"picture")
    assert emulator.stop()

    emulator, clients, again = start()
    try:
        assert again["HIGH_QUEUE_URL"] != names["HIGH_QUEUE_URL"]
        assert again["HIGH_QUEUE_URL"].startswith(emulator.endpoint_url)
        assert clients.dynamodb.scan(TableName=again["TABLE_NAME"])["Count"] == 1
        message = clients.sqs.receive_message(QueueUrl=again["HIGH_QUEUE_URL"])["Messages"][0]
        assert message["Body"] == "hello"
        stored = clients.s3.get_object(Bucket=again["BUCKET_NAME"], Key="outputs/a b/ü.png")
        assert stored["Body"].read() == b"picture"
    finally:
        emulator.stop()
