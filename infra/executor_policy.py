"""What executors need to run anywhere: an IAM policy, and the environment with the names of the stage's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from gateway.settings import ExecutorSettings
from infra.permissions import EXECUTOR

if TYPE_CHECKING:
    from infra.stage import Stage
    from infra.state import StateStack


def add_executor_policy(state: StateStack, stage: Stage) -> iam.ManagedPolicy:
    """Add the policy to the state stack, so that it exists before and outlives every executor."""
    # CloudFormation replaces a policy whose description changes, and users have this one attached by hand.
    policy = iam.ManagedPolicy(state, "ExecutorPolicy", description="All that an executor does.")
    EXECUTOR.grant(policy, state)
    environment = {"AWS_REGION": state.region, **state.settings, **stage.settings_of(ExecutorSettings)}
    cdk.CfnOutput(
        state,
        "Environment",
        value="\n".join(f"{name}={value}" for name, value in environment.items()),
        description="Environment of `comfyui-gateway worker` and other commands.",
    )
    cdk.CfnOutput(state, "ExecutorPolicyArn", value=policy.managed_policy_arn)
    return policy
