"""What matters in the templates: that nothing gets lost, that time-outs fit together, that stages do not meet."""

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
    """Synthesize a stage as it is."""
    return assembly("dev")


@pytest.fixture(scope="module")
def everything() -> Assembly:
    """Synthesize a stage with every option, that keeps its data."""
    return assembly("everything")


def properties(synthesized: Assembly, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through the resources of a kind: logical id and properties."""
    found = synthesized.resources(kind)
    assert found, f"no {kind}"
    return ((name, resource["Properties"]) for name, resource in found.items())


def test_every_queue_and_every_rule_on_events_has_a_dead_letter_queue(dev: Assembly) -> None:
    """But for those queues that are one."""
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


def test_queues_hide_messages_long_enough_for_their_functions(dev: Assembly) -> None:
    """Six times the function's time-out, as AWS asks for."""
    queues, functions = dev.resources("AWS::SQS::Queue"), dev.resources("AWS::Lambda::Function")
    looked_at = 0
    for _, mapping in properties(dev, "AWS::Lambda::EventSourceMapping"):
        queue = queues.get(dev.named(mapping["EventSourceArn"]))
        if queue is None:
            continue  # a stream
        function = functions[dev.named(mapping["FunctionName"])]["Properties"]
        assert queue["Properties"]["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        looked_at += 1
    assert looked_at >= 3


def test_functions_that_answer_requests_have_the_time_that_api_gateway_has(dev: Assembly) -> None:
    """29 s, here and there."""
    answering = {f"{module_of(name)}.handler" for name in API_FUNCTIONS}
    timeouts = {function["Handler"]: function["Timeout"] for _, function in properties(dev, "AWS::Lambda::Function")}
    assert {timeouts[handler] for handler in answering} == {REQUEST_SECONDS}
    integrations = {
        method["Integration"]["TimeoutInMillis"] for _, method in properties(dev, "AWS::ApiGateway::Method")
    }
    assert integrations == {REQUEST_SECONDS * 1000}


def test_functions_are_what_they_are_meant_to_be(everything: Assembly) -> None:
    """Python 3.13 on arm64, traced, and with a log that is not kept for ever."""
    answering = {f"{module_of(name)}.handler" for name in API_FUNCTIONS}
    for name, function in properties(everything, "AWS::Lambda::Function"):
        assert function["Runtime"] == "python3.13", name
        assert function["Architectures"] == ["arm64"]
        assert function["TracingConfig"]["Mode"] == ("Active" if function["Handler"] in answering else "PassThrough")
        assert "LogGroup" in function["LoggingConfig"]
    for name, log in properties(everything, "AWS::Logs::LogGroup"):
        assert log["RetentionInDays"] == 30, name


def test_what_is_stored_is_encrypted_and_reached_by_tls_only(dev: Assembly) -> None:
    """Bucket and queues refuse plain HTTP, and the bucket everybody who has no right."""
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


def test_data_outlives_a_stage_that_keeps_it_and_no_other(dev: Assembly, everything: Assembly) -> None:
    """`cdk destroy` takes out what a stage for trying things holds, and leaves what customers have."""
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
def test_nothing_is_named_so_that_two_stages_clash(stage: str) -> None:
    """Whatever has a name of its own has the stage's name in it; the rest is named by CloudFormation."""
    part_of_a_name = stage.replace("-", "")  # CDK leaves hyphens out of some
    for template in assembly(stage).templates.values():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] in (
                "AWS::ApiGateway::RestApi",
                "AWS::Lambda::Permission",
                "AWS::Lambda::EventSourceMapping",
                "AWS::Lambda::Alias",
                "AWS::Lambda::Version",
            ):
                continue  # these name another resource, or nothing by which anything is found
            for name in NAMES_OF_RESOURCES:
                given = resource.get("Properties", {}).get(name)
                is_reference = isinstance(given, dict) and given.keys() <= {"Ref", "Fn::GetAtt"}
                in_it = part_of_a_name in json.dumps(given).replace("-", "")
                assert given is None or is_reference or in_it, f"{logical_id}.{name}"


def test_what_api_gateway_answers_itself_has_the_shape_of_every_error(dev: Assembly) -> None:
    """Clients need to know one shape only."""
    for name, answer in properties(dev, "AWS::ApiGateway::GatewayResponse"):
        body = json.loads(answer["ResponseTemplates"]["application/json"])
        assert body.keys() == {"error", "message", "details", "retryable", "correlationId"}, name
        assert body["correlationId"] == "$context.requestId"


def test_the_api_is_throttled_logged_and_traced(dev: Assembly) -> None:
    """And its log has no header in it, as those hold keys."""
    ((_, stage),) = properties(dev, "AWS::ApiGateway::Stage")
    assert stage["MethodSettings"][0]["ThrottlingRateLimit"] > 0
    assert stage["TracingEnabled"] is True
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert not [value for value in line.values() if "header" in value.lower() or "apiKey" in value]


def test_an_api_with_a_domain_is_there_under_its_own_name_only(everything: Assembly) -> None:
    """With TLS 1.2 at the least; the stack tells where the name has to point."""
    ((_, domain),) = properties(everything, "AWS::ApiGateway::DomainName")
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("images.example.com", "TLS_1_2")
    ((_, api),) = properties(everything, "AWS::ApiGateway::RestApi")
    assert api["DisableExecuteApiEndpoint"] is True
    outputs = everything.template("api")["Outputs"]
    assert outputs["Url"]["Value"] == "https://images.example.com/"
    assert outputs["DomainTarget"]["Value"]["Fn::GetAtt"][1] == "RegionalDomainName"


def test_an_address_that_asks_too_often_is_blocked(everything: Assembly) -> None:
    """By a rule of WAF before the API's stage: as many requests within five minutes as the stage says."""
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


def test_options_are_there_when_they_are_asked_for(dev: Assembly, everything: Assembly) -> None:
    """Domain, WAF and snapshots cost by themselves."""
    for kind in ("AWS::ApiGateway::DomainName", "AWS::WAFv2::WebACLAssociation", "AWS::Lambda::Alias"):
        assert everything.resources(kind), kind
        assert not dev.resources(kind), kind
