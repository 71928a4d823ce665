"""Suppression of cdk-nag findings, each with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import aws_cdk as cdk

if TYPE_CHECKING:
    from aws_cdk import aws_ecs as ecs
    from constructs import IConstruct

NAG_S3 = "arn:<AWS::Partition>:s3:::"  # prefix of a bucket ARN in findings of cdk-nag


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Suppress a rule for a construct and its children. Raises ValueError without a reason."""
    if not reason:
        raise ValueError(f"{rule}: a reason is required")
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def acknowledge_all_of(construct: IConstruct, cluster: ecs.Cluster, kind: str, reason: str) -> None:
    """Suppress the finding about a policy for all tasks, or all instances, of a cluster."""
    name = cdk.Stack.of(cluster).get_logical_id(cast("cdk.CfnElement", cluster.node.default_child))
    arn = f"arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:{kind}/<{name}>/*"
    acknowledge(construct, f"AwsSolutions-IAM5[Resource::{arn}]", reason)
