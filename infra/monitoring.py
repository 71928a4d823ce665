"""The stack with dashboard, alarms, saved queries and trace sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_xray as xray

from infra.alarms import Alarms
from infra.dashboard import Dashboard
from infra.metrics import StageMetrics
from infra.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk.aws_logs import ILogGroup
    from constructs import Construct

    from infra.api import ApiStack
    from infra.stage import Stage
    from infra.state import StateStack


class MonitoringStack(cdk.Stack):
    """The stack. `logs`: the log groups of functions and executors."""

    def __init__(  # noqa: PLR0913  everything that it monitors
        self,
        scope: Construct,
        name: str,
        *,
        stage: Stage,
        state: StateStack,
        api: ApiStack,
        logs: Sequence[ILogGroup],
    ) -> None:
        super().__init__(scope, name)
        self._stage = stage
        metrics = StageMetrics(stage, state, api)
        Alarms(self, "Alarms", metrics=metrics, topic=self._make_topic(), oldest_job_minutes=stage.oldest_job_minutes)
        Dashboard(self, "Dashboard", stage=stage, metrics=metrics)
        Queries(
            self,
            "Queries",
            stage=stage,
            functions=logs,
            api=api.rest_api.access_log,
        )
        self._sample_traces(api)

    def _make_topic(self) -> sns.Topic:
        """Make the topic for alarms, with a key of its own: CloudWatch cannot use the key that SNS provides."""
        key = kms.Key(
            self, "AlarmKey", enable_key_rotation=True, removal_policy=cdk.RemovalPolicy.DESTROY,
            description=f"ComfyUI Gateway {self._stage.name}: alarm notifications",
        )  # fmt: skip
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],  # in a key's own policy: this key
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        topic = sns.Topic(self, "AlarmTopic", master_key=key, enforce_ssl=True)
        # An explicit policy replaces the default one, which lets the whole account publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if self._stage.alarm_email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(self._stage.alarm_email))
        cdk.CfnOutput(self, "AlarmTopicArn", value=topic.topic_arn)
        return topic

    def _sample_traces(self, api: ApiStack) -> None:
        """Trace a share of the requests. X-Ray's default rule traces one per second, at $5 per million traces."""
        xray.CfnSamplingRule(
            self,
            "Sampling",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=f"comfyui-gateway-{self._stage.name}",
                priority=100,
                reservoir_size=0,
                fixed_rate=self._stage.traced_share,
                service_name=f"{api.rest_api.api.rest_api_name}/{api.rest_api.stage.stage_name}",
                service_type="AWS::ApiGateway::Stage",
                host="*",
                http_method="*",
                url_path="*",
                resource_arn="*",
                version=1,
            ),
        )
