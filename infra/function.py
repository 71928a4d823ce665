"""A Lambda function with its code bundle, log group and role."""

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

# The CPU share depends on the memory. Handlers use a few milliseconds of CPU and otherwise wait for AWS, so that more
# memory would cost more than it saves. The init phase has a full CPU. https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEMORY_MIB = 512
_BACKGROUND_MEMORY_MIB = 256  # no caller waits for them, and webhooks wait for their receivers


class GatewayFunction(Construct):
    """A function of the module of that name, with the grants of permissions.FUNCTIONS. `called`: what to invoke."""

    def __init__(  # noqa: PLR0913  what differs between functions
        self,
        scope: Construct,
        name: str,
        *,
        stage: Stage,
        state: StateStack,
        timeout_seconds: int,
        serves_requests: bool,
        platform: Platform = LAMBDA,
    ) -> None:
        super().__init__(scope, f"Function-{name}")
        module = module_of(name)
        code = bundle(module, platform)
        self.log_group = make_log_group(self, "Log", stage)
        self.role = self._make_role(name, state)
        secret_arns = FUNCTIONS[name].secret_arns(state)
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"ComfyUI Gateway {stage.name}: {name}",
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            code=lambda_.Code.from_asset(str(code.path), asset_hash=code.digest),
            handler=f"{module}.handler",
            memory_size=_MEMORY_MIB if serves_requests else _BACKGROUND_MEMORY_MIB,
            timeout=cdk.Duration.seconds(timeout_seconds),
            role=self.role,
            environment={
                **state.settings,
                "METRICS_NAMESPACE": stage.metrics_namespace,
                **stage.settings_of(ApiSettings, BackgroundSettings),
                **({"SECRET_ARNS": ",".join(secret_arns)} if secret_arns else {}),
            },
            log_group=self.log_group,
            # Without START, END and REPORT lines, half of the log. Metrics and X-Ray have what they contain.
            logging_format=lambda_.LoggingFormat.JSON,
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            application_log_level_v2=lambda_.ApplicationLogLevel.DEBUG,  # LOG_LEVEL filters
            # A background function is traced only if the request that caused it is: X-Ray has a price per trace.
            tracing=lambda_.Tracing.ACTIVE if serves_requests else lambda_.Tracing.PASS_THROUGH,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if stage.snap_start else None,
        )
        acknowledge(self.function, "AwsSolutions-L1", "Python 3.13 is supported until mid-2029; the tests use it.")
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
    """Make a log group with the retention of the stage. It is deleted with its stack."""
    group = logs.LogGroup(scope, name, removal_policy=cdk.RemovalPolicy.DESTROY)
    resource = group.node.default_child
    if not isinstance(resource, logs.CfnLogGroup):
        raise TypeError("not a log group")
    resource.retention_in_days = stage.log_retention_days  # the CDK property is an enum of names
    return group
