"""The deployment and local mode have the same table, queues and bucket, including every timeout and key.

The tests compare the templates with the resources of local mode, as the embedded AWS describes them. They do not read
resources.py, from which both are made, so that an omission in one of them is detected.
"""

from __future__ import annotations

import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.assembly import Assembly, assembly

if TYPE_CHECKING:
    from gateway.aws.clients import Clients

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize


@pytest.fixture(scope="module")
def dev() -> Assembly:
    """Synthesize a stage with default settings, as in local mode."""
    return assembly("dev")


def variables(dev: Assembly) -> dict[str, Any]:
    """Return the environment of the deployed functions, without variables of the deployment only."""
    functions = [each["Properties"] for each in dev.resources("AWS::Lambda::Function").values()]
    deployment_only = ("SECRET_ARNS", "METRICS_NAMESPACE")
    return {
        name: value for name, value in functions[0]["Environment"]["Variables"].items() if name not in deployment_only
    }


def test_functions_have_the_same_variables(dev: Assembly, aws: dict[str, str], emulator: Any) -> None:  # noqa: ANN401
    """The deployment sets the variables of local mode, and no others."""
    assert variables(dev).keys() == aws.keys() - emulator.environment.keys()


def test_the_table_is_the_same(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """Keys, indexes, billing, stream and expiry."""
    there = dev.resources("AWS::DynamoDB::Table")[dev.named(variables(dev)["TABLE_NAME"])]["Properties"]
    here = aws_clients.dynamodb.describe_table(TableName=aws["TABLE_NAME"])["Table"]
    expiry = aws_clients.dynamodb.describe_time_to_live(TableName=aws["TABLE_NAME"])["TimeToLiveDescription"]
    assert there["KeySchema"] == here["KeySchema"]
    assert by(there["AttributeDefinitions"], "AttributeName") == by(here["AttributeDefinitions"], "AttributeName")
    assert there["BillingMode"] == here["BillingModeSummary"]["BillingMode"]
    assert there["TimeToLiveSpecification"]["AttributeName"] == expiry["AttributeName"]
    assert there.get("StreamSpecification", {}).get("StreamViewType") == here.get("StreamSpecification", {}).get(
        "StreamViewType"
    )
    described = ("IndexName", "KeySchema", "Projection")
    assert by(there["GlobalSecondaryIndexes"], "IndexName") == [
        {name: index[name] for name in described} for index in by(here["GlobalSecondaryIndexes"], "IndexName")
    ]


def test_the_queues_are_the_same(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """Visibility timeout, retention, delay and receive limit."""
    queues = dev.resources("AWS::SQS::Queue")
    names = [name for name in aws if name.endswith("_QUEUE_URL")]
    assert len({dev.named(variables(dev)[name]) for name in names}) == len(names)
    for name in names:
        there = queues[dev.named(variables(dev)[name])]["Properties"]
        here = aws_clients.sqs.get_queue_attributes(QueueUrl=aws[name], AttributeNames=["All"])["Attributes"]
        assert str(there["VisibilityTimeout"]) == here["VisibilityTimeout"], name
        assert str(there["MessageRetentionPeriod"]) == here["MessageRetentionPeriod"], name
        assert there.get("DelaySeconds", 0) == int(here["DelaySeconds"]), name
        redrive = json.loads(here.get("RedrivePolicy", "{}"))
        assert there.get("RedrivePolicy", {}).get("maxReceiveCount") == redrive.get("maxReceiveCount"), name


def test_files_expire_at_the_same_time(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """The same prefixes and tags, after the same number of days."""
    bucket = dev.resources("AWS::S3::Bucket")[dev.named(variables(dev)["BUCKET_NAME"])]["Properties"]
    there = {
        (rule.get("Prefix"), json.dumps(rule.get("TagFilters", [None])[0]), rule["ExpirationInDays"])
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    rules = aws_clients.s3.get_bucket_lifecycle_configuration(Bucket=aws["BUCKET_NAME"])["Rules"]
    here = {
        (rule["Filter"].get("Prefix"), json.dumps(rule["Filter"].get("Tag")), rule["Expiration"]["Days"])
        for rule in rules
    }
    assert there == here


def test_the_cors_rule_is_the_same(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """The embedded AWS ignores the rule, so that a missing one would be noticed on AWS only."""
    bucket = dev.resources("AWS::S3::Bucket")[dev.named(variables(dev)["BUCKET_NAME"])]["Properties"]
    (there,) = bucket["CorsConfiguration"]["CorsRules"]
    (here,) = aws_clients.s3.get_bucket_cors(Bucket=aws["BUCKET_NAME"])["CORSRules"]
    assert there == {
        "AllowedOrigins": here["AllowedOrigins"],
        "AllowedMethods": here["AllowedMethods"],
        "AllowedHeaders": here.get("AllowedHeaders"),
        "ExposedHeaders": here.get("ExposeHeaders"),
    }


def by(described: Any, name: str) -> list[Any]:  # noqa: ANN401  what AWS describes
    """Sort what AWS returns in any order."""
    return sorted(described, key=itemgetter(name))


def test_the_rule_that_fills_the_webhooks_queue_is_the_same(
    dev: Assembly, aws: dict[str, str], aws_clients: Clients
) -> None:
    """The same events, input path and message group."""
    fed = dev.named(variables(dev)["WEBHOOK_QUEUE_URL"])
    (there,) = (
        rule["Properties"]
        for rule in dev.resources("AWS::Events::Rule").values()
        if "EventPattern" in rule["Properties"] and dev.named(rule["Properties"]["Targets"][0]["Arn"]) == fed
    )
    assert dev.named(there["EventBusName"]) == dev.named(variables(dev)["EVENT_BUS_NAME"])
    (here,) = aws_clients.events.list_rules(EventBusName=aws["EVENT_BUS_NAME"])["Rules"]
    assert there["EventPattern"] == json.loads(here["EventPattern"])
    targets = aws_clients.events.list_targets_by_rule(Rule=here["Name"], EventBusName=aws["EVENT_BUS_NAME"])["Targets"]
    for name in ("InputPath", "SqsParameters"):
        assert [target[name] for target in there["Targets"]] == [target[name] for target in targets]
