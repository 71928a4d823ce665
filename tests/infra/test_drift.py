"""The deployment and local mode have the same table, queues and files, down to each time-out and key.

What the templates say is held against what local mode makes in the embedded AWS, as that describes it. Nothing here
looks at resources.py, from which both are made: what one of them leaves out would show.
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
    """Synthesize a stage with the default settings, which local mode has too."""
    return assembly("dev")


def variables(dev: Assembly) -> dict[str, Any]:
    """Read the environment of the deployed functions, but for what only some of them are told."""
    functions = [each["Properties"] for each in dev.resources("AWS::Lambda::Function").values()]
    of_deployments = ("SECRET_ARNS", "METRICS_NAMESPACE")
    return {
        name: value for name, value in functions[0]["Environment"]["Variables"].items() if name not in of_deployments
    }


def test_functions_are_told_the_same_names(dev: Assembly, aws: dict[str, str], emulator: Any) -> None:  # noqa: ANN401
    """What local mode makes and names, the deployment does, and nothing more."""
    assert variables(dev).keys() == aws.keys() - emulator.environment.keys()


def test_the_table_is_the_same(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """Keys, indexes, billing, stream, and what expires."""
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
    """How long each hides and keeps messages, and where they go that were received too often."""
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


def test_files_expire_alike(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """The same prefixes and tags, after as many days."""
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


def test_web_pages_may_read_the_same(dev: Assembly, aws: dict[str, str], aws_clients: Clients) -> None:
    """The emulator of local mode does not look at the rule, so that a missing one would show on AWS only."""
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
    """AWS lists in any order."""
    return sorted(described, key=itemgetter(name))


def test_the_rule_that_fills_the_webhooks_queue_is_the_same(
    dev: Assembly, aws: dict[str, str], aws_clients: Clients
) -> None:
    """The same events, the same part of them, and the same message group."""
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
