"""A Lambda function: its zip, its log, its role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from functions.routing import module_of
from gateway.settings import ApiSettings, BackgroundSettings
from infra.bundle import LAMBDA, Platform, bundle
from infra.nag_suppressions import acknowledge
from infra.permissions import FUNCTIONS

if TYPE_CHECKING:
    from infra.stage import Stage
    from infra.state import StateStack

# The CPU comes with the memory. Handlers take a few milliseconds of it and wait for AWS for the rest, so that more
# would cost more than it saves; starting has a CPU of its own. https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEMORY_MIB = 512
_BACKGROUND_MEMORY_MIB = 256  # nobody waits for these, and webhooks wait for their receivers


class GatewayFunction(Construct):
    """The function of a module in functions/, named after it, with the grants that access.FUNCTIONS has for it."""

    def __init__(  # noqa: PLR0913  what one function differs by from another
        self,
        scope: Construct,
        name: str,
        *,
        stage: Stage,
        state: StateStack,
        timeout_seconds: int,
        answers_requests: bool,
        platform: Platform = LAMBDA,
    ) -> None:
        super().__init__(scope, f"Function-{name}")
        module = module_of(name)
        zipped = bundle(module, platform)
        self.log_group = make_log_group(self, "Log", stage)
        self.role = self._make_role(name, state)
        secret_arns = FUNCTIONS[name].secret_arns(state)
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"ComfyUI Gateway {stage.name}: {name}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(zipped.path), asset_hash=zipped.digest),
            handler=f"{module}.handler",
            memory_size=_MEMORY_MIB if answers_requests else _BACKGROUND_MEMORY_MIB,
            timeout=cdk.Duration.seconds(timeout_seconds),
            role=self.role,
            environment={
                **state.settings,
                "METRICS_NAMESPACE": stage.metrics_namespace,
                **stage.settings_of(ApiSettings, BackgroundSettings),
                **({"SECRET_ARNS": ",".join(secret_arns)} if secret_arns else {}),
            },
            log_group=self.log_group,
            # START, END and REPORT lines would be half of the log; what they say is in the metrics and in X-Ray.
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            application_log_level_v2=lambda_.ApplicationLogLevel.DEBUG,  # LOG_LEVEL decides
            # What no request calls is traced when what it goes back to is: X-Ray's price is by the trace.
            tracing=lambda_.Tracing.ACTIVE if answers_requests else lambda_.Tracing.PASS_THROUGH,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if stage.snap_start else None,
        )
        acknowledge(self.function, "AwsSolutions-L1", "It is supported until mid-2029, and what the tests run with.")
        # Only published versions start from snapshots.
        self.called: lambda_.IFunction = (
            lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
            if stage.snap_start
            else self.function
        )

    def _make_role(self, name: str, state: StateStack) -> iam.Role:
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        FUNCTIONS[name].grant(role, state)
        self.log_group.grant_write(role)
        role.add_to_policy(
            iam.PolicyStatement(actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"])
        )
        acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "Traces have no resource that a policy could name.")
        return role


def make_log_group(scope: Construct, name: str, stage: Stage) -> logs.LogGroup:
    """Make a log that is kept as long as the stage says, and not longer than its stack."""
    group = logs.LogGroup(scope, name, removal_policy=cdk.RemovalPolicy.DESTROY)
    resource = group.node.default_child
    if not isinstance(resource, logs.CfnLogGroup):
        raise TypeError("CDK has made something else of a log group")
    resource.retention_in_days = stage.log_retention_days  # CDK's own property takes names
    return group
