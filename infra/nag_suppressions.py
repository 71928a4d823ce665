"""Findings of cdk-nag that stand, each with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import aws_cdk as cdk

if TYPE_CHECKING:
    from aws_cdk import aws_ecs as ecs
    from constructs import IConstruct

NAG_S3 = "arn:<AWS::Partition>:s3:::"  # how cdk-nag writes the beginning of a bucket's ARN


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Let a rule be broken by a construct and by what it is made of. Raises ValueError without a reason."""
    if not reason:
        raise ValueError(f"{rule}: why?")
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))


def acknowledge_all_of(construct: IConstruct, cluster: ecs.Cluster, kind: str, reason: str) -> None:
    """Let a policy be about all tasks, or all instances, of a cluster."""
    name = cdk.Stack.of(cluster).get_logical_id(cast("cdk.CfnElement", cluster.node.default_child))
    arn = f"arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:{kind}/<{name}>/*"
    acknowledge(construct, f"AwsSolutions-IAM5[Resource::{arn}]", reason)
