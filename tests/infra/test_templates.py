"""The synthesized templates: dead-letter queues, timeouts, encryption, retention, names and logical ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from functions.routing import API_FUNCTIONS, module_of
from gateway.aws.resources import REQUEST_SECONDS
from tests.infra.assembly import Assembly, assembly
from tests.infra.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # the first test may have to synthesize


@pytest.fixture(scope="module")
def dev() -> Assembly:
    """Synthesize the stage `dev`."""
    return assembly("dev")


@pytest.fixture(scope="module")
def everything() -> Assembly:
    """Synthesize a stage with every option."""
    return assembly("everything")


def properties(synthesized: Assembly, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield logical id and properties of the resources of a type."""
    found = synthesized.resources(kind)
    assert found, f"no {kind}"
    return ((name, resource["Properties"]) for name, resource in found.items())


def test_every_queue_and_every_rule_on_events_has_a_dead_letter_queue(dev: Assembly) -> None:
    """Except for dead-letter queues themselves."""
    queues = dict(properties(dev, "AWS::SQS::Queue"))
    taking = {
        json.dumps(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }
    rules = [rule for _, rule in properties(dev, "AWS::Events::Rule") if "EventPattern" in rule]
    taking |= {json.dumps(target["DeadLetterConfig"]["Arn"]) for rule in rules for target in rule["Targets"]}
    for name, queue in queues.items():
        is_target = any(f'"{name}"' in target for target in taking)
        assert is_target != ("RedrivePolicy" in queue), name


def test_visibility_timeouts_fit_the_functions(dev: Assembly) -> None:
    """Six times the timeout of the function, as AWS recommends."""
    queues, functions = dev.resources("AWS::SQS::Queue"), dev.resources("AWS::Lambda::Function")
    checked = 0
    for _, mapping in properties(dev, "AWS::Lambda::EventSourceMapping"):
        queue = queues.get(dev.named(mapping["EventSourceArn"]))
        if queue is None:
            continue  # a stream
        function = functions[dev.named(mapping["FunctionName"])]["Properties"]
        assert queue["Properties"]["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        checked += 1
    assert checked >= 3


def test_api_functions_have_the_timeout_of_api_gateway(dev: Assembly) -> None:
    """29 s for both."""
    handlers = {f"{module_of(name)}.handler" for name in API_FUNCTIONS}
    timeouts = {function["Handler"]: function["Timeout"] for _, function in properties(dev, "AWS::Lambda::Function")}
    assert {timeouts[handler] for handler in handlers} == {REQUEST_SECONDS}
    integrations = {
        method["Integration"]["TimeoutInMillis"] for _, method in properties(dev, "AWS::ApiGateway::Method")
    }
    assert integrations == {REQUEST_SECONDS * 1000}


def test_functions_have_the_intended_configuration(everything: Assembly) -> None:
    """Python 3.13 on arm64, traced, with a log retention."""
    handlers = {f"{module_of(name)}.handler" for name in API_FUNCTIONS}
    for name, function in properties(everything, "AWS::Lambda::Function"):
        assert function["Runtime"] == "python3.13", name
        assert function["Architectures"] == ["arm64"]
        assert function["TracingConfig"]["Mode"] == ("Active" if function["Handler"] in handlers else "PassThrough")
        assert "LogGroup" in function["LoggingConfig"]
    for name, log in properties(everything, "AWS::Logs::LogGroup"):
        assert log["RetentionInDays"] == 30, name


def test_stored_data_is_encrypted_and_needs_tls(dev: Assembly) -> None:
    """Bucket and queues deny plain HTTP, and the bucket blocks public access."""
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
        for name, policy in properties(dev, kind):
            denied = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
            assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in denied], name
    assert len(dev.resources("AWS::SQS::QueuePolicy")) == len(dev.resources("AWS::SQS::Queue"))
    for _, queue in properties(dev, "AWS::SQS::Queue"):
        assert queue["SqsManagedSseEnabled"] is True
    for _, bucket in properties(dev, "AWS::S3::Bucket"):
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["BucketEncryption"]
    for _, table in properties(dev, "AWS::DynamoDB::Table"):
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


@pytest.mark.parametrize(
    ("kind", "logical_ids"),
    [
        ("AWS::DynamoDB::Table", {"TableCD117FA1"}),
        ("AWS::S3::Bucket", {"Files8E6940B8"}),
        ("AWS::SecretsManager::Secret", {"JwtSecretB8834B39", "WebhookSecretF21E29CC"}),
        (
            "AWS::SQS::Queue",
            {
                "QueueEventsLostD2BC059C", "QueueJobsHigh8EB0AC50", "QueueJobsHighDead8B2AB09B",
                "QueueJobsLow3CA0B46C", "QueueJobsLowDeadAB8202D8", "QueueJobsNormal73E171E0",
                "QueueJobsNormalDead0393824F", "QueueWebhooks5FD43DC3", "QueueWebhooksDeadA3DD6814",
            },
        ),
    ],
)  # fmt: skip
def test_logical_ids_of_stored_data_stay(everything: Assembly, kind: str, logical_ids: set[str]) -> None:
    """CloudFormation replaces a resource whose logical id changes, and what is in it is lost."""
    assert set(everything.resources(kind)) == logical_ids


def test_data_survives_a_stage_with_keep_data_only(dev: Assembly, everything: Assembly) -> None:
    """`cdk destroy` deletes the data of other stages."""
    stored = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SecretsManager::Secret")
    for kind in stored:
        assert {each["DeletionPolicy"] for each in everything.resources(kind).values()} == {"Retain"}, kind
        assert {each["DeletionPolicy"] for each in dev.resources(kind).values()} <= {"Delete"}, kind
    (table,) = (each for _, each in properties(everything, "AWS::DynamoDB::Table"))
    assert table["DeletionProtectionEnabled"] is True


NAMES_OF_RESOURCES = (
    "TableName", "BucketName", "QueueName", "FunctionName", "RoleName", "ManagedPolicyName", "LogGroupName",
    "TopicName", "AlarmName", "ClusterName", "SecretName", "DashboardName", "Name",
)  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_names_do_not_clash_between_stages(stage: str) -> None:
    """An explicit name includes the stage's name; CloudFormation generates all others."""
    part_of_a_name = stage.replace("-", "")  # CDK removes hyphens from some
    for template in assembly(stage).templates.values():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] in (
                "AWS::ApiGateway::RestApi",
                "AWS::Lambda::Permission",
                "AWS::Lambda::EventSourceMapping",
                "AWS::Lambda::Alias",
                "AWS::Lambda::Version",
            ):
                continue  # their names refer to other resources, or need not be unique
            for name in NAMES_OF_RESOURCES:
                given = resource.get("Properties", {}).get(name)
                is_reference = isinstance(given, dict) and given.keys() <= {"Ref", "Fn::GetAtt"}
                in_it = part_of_a_name in json.dumps(given).replace("-", "")
                assert given is None or is_reference or in_it, f"{logical_id}.{name}"


def test_responses_of_api_gateway_itself_have_the_error_body(dev: Assembly) -> None:
    """Clients need only one parser for errors."""
    for name, response in properties(dev, "AWS::ApiGateway::GatewayResponse"):
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert body.keys() == {"error", "message", "details", "retryable", "correlationId"}, name
        assert body["correlationId"] == "$context.requestId"


def test_the_api_is_throttled_logged_and_traced(dev: Assembly) -> None:
    """The access log has no headers, because they contain keys."""
    ((_, stage),) = properties(dev, "AWS::ApiGateway::Stage")
    assert stage["MethodSettings"][0]["ThrottlingRateLimit"] > 0
    assert stage["TracingEnabled"] is True
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert not [value for value in line.values() if "header" in value.lower() or "apiKey" in value]


def test_an_api_with_a_domain_has_no_other_address(everything: Assembly) -> None:
    """With TLS 1.2 as the minimum; the stack outputs the target of the DNS record."""
    ((_, domain),) = properties(everything, "AWS::ApiGateway::DomainName")
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("images.example.com", "TLS_1_2")
    ((_, api),) = properties(everything, "AWS::ApiGateway::RestApi")
    assert api["DisableExecuteApiEndpoint"] is True
    outputs = everything.template("api")["Outputs"]
    assert outputs["Url"]["Value"] == "https://images.example.com/"
    assert outputs["DomainTarget"]["Value"]["Fn::GetAtt"][1] == "RegionalDomainName"


def test_waf_blocks_addresses_with_too_many_requests(everything: Assembly) -> None:
    """Above the stage's limit of requests in five minutes."""
    ((acl, waf),) = properties(everything, "AWS::WAFv2::WebACL")
    (rule,) = waf["Rules"]
    assert rule["Action"] == {"Block": {}}
    assert rule["Statement"]["RateBasedStatement"] == {
        "AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 2000,
    }  # fmt: skip
    ((_, association),) = properties(everything, "AWS::WAFv2::WebACLAssociation")
    ((stage, _),) = properties(everything, "AWS::ApiGateway::Stage")
    assert association["WebACLArn"]["Fn::GetAtt"][0] == acl
    assert stage in json.dumps(association["ResourceArn"])


def test_options_are_off_by_default(dev: Assembly, everything: Assembly) -> None:
    """Domain, WAF and snapshots have a price."""
    for kind in ("AWS::ApiGateway::DomainName", "AWS::WAFv2::WebACLAssociation", "AWS::Lambda::Alias"):
        assert everything.resources(kind), kind
        assert not dev.resources(kind), kind
