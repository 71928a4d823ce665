"""A copy of the models bucket on EFS, for executors with `models_volume="efs"`.

It is encrypted at rest and in transit, reachable only from the security group of the executors, and only with a role
that allows it. A DataSync task copies the bucket, which remains the source of all models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_datasync as datasync
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_efs as efs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.nag_suppressions import NAG_S3, acknowledge

if TYPE_CHECKING:
    from infra.stage import Stage


class ModelFiles(Construct):
    """The file system and its DataSync task. `mounted`: a dependency for whatever mounts it."""

    def __init__(  # noqa: PLR0913  the resources that it connects
        self, scope: Construct, name: str, *, stage: Stage, bucket: str, network: ec2.IVpc, group: ec2.ISecurityGroup
    ) -> None:
        super().__init__(scope, name)
        self._files = efs.FileSystem(
            self,
            "Files",
            vpc=network,
            encrypted=True,
            lifecycle_policy=efs.LifecyclePolicy.AFTER_30_DAYS,
            out_of_infrequent_access_policy=efs.OutOfInfrequentAccessPolicy.AFTER_1_ACCESS,
            # Elastic throughput costs three cents per GB read: more than the GPU time spent waiting.
            throughput_mode=efs.ThroughputMode.BURSTING,
            file_system_policy=self._policy(),
            removal_policy=cdk.RemovalPolicy.RETAIN if stage.keep_data else cdk.RemovalPolicy.DESTROY,
        )
        self._files.connections.allow_default_port_from(group, "Executors, and what copies models")
        self.mounted = self._files.mount_targets_available
        self._fill_from(bucket, network.public_subnets[0], group)

    def mount_in(self, definition: ecs.TaskDefinition, volume: str) -> None:
        """Add it to a task as a read-only volume."""
        definition.add_volume(
            name=volume,
            efs_volume_configuration=ecs.EfsVolumeConfiguration(
                file_system_id=self._files.file_system_id,
                transit_encryption="ENABLED",
                authorization_config=ecs.AuthorizationConfig(iam="ENABLED"),
            ),
        )
        self._allow(definition.task_role, "ClientMount")

    def _policy(self) -> iam.PolicyDocument:
        """Deny clients without TLS. The policy allows nothing, so every client needs a role that does."""
        without_tls = iam.PolicyStatement(
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["elasticfilesystem:Client*"],
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        )
        return iam.PolicyDocument(statements=[without_tls])

    def _allow(self, role: iam.IRole, *actions: str) -> None:
        role.add_to_principal_policy(
            iam.PolicyStatement(
                actions=[f"elasticfilesystem:{action}" for action in actions],
                resources=[self._files.file_system_arn],
                conditions={"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
            )
        )

    def _fill_from(self, bucket: str, subnet: ec2.ISubnet, group: ec2.ISecurityGroup) -> None:
        """Make the task that copies new objects of the bucket, and removes files of deleted objects."""
        role = iam.Role(self, "Copying", assumed_by=iam.ServicePrincipal("datasync.amazonaws.com"))
        bucket_arn = f"arn:{cdk.Aws.PARTITION}:s3:::{bucket}"
        for actions, resource in (
            # https://docs.aws.amazon.com/datasync/latest/userguide/create-s3-location.html
            (("GetBucketLocation", "ListBucket", "ListBucketMultipartUploads"), bucket_arn),
            (("GetObject", "GetObjectTagging", "ListMultipartUploadParts"), f"{bucket_arn}/*"),
        ):
            named = [f"s3:{action}" for action in actions]
            role.add_to_principal_policy(iam.PolicyStatement(actions=named, resources=[resource]))
        acknowledge(role, f"AwsSolutions-IAM5[Resource::{NAG_S3}{bucket}/*]", "The bucket has only models.")
        self._allow(role, "ClientMount", "ClientWrite", "ClientRootAccess")
        source = datasync.CfnLocationS3(
            self,
            "Bucket",
            s3_bucket_arn=bucket_arn,
            s3_config=datasync.CfnLocationS3.S3ConfigProperty(bucket_access_role_arn=role.role_arn),
        )
        stack = cdk.Stack.of(self)
        destination = datasync.CfnLocationEFS(
            self,
            "Copy",
            efs_filesystem_arn=self._files.file_system_arn,
            in_transit_encryption="TLS1_2",
            file_system_access_role_arn=role.role_arn,
            ec2_config=datasync.CfnLocationEFS.Ec2ConfigProperty(
                subnet_arn=stack.format_arn(service="ec2", resource="subnet", resource_name=subnet.subnet_id),
                security_group_arns=[
                    stack.format_arn(service="ec2", resource="security-group", resource_name=group.security_group_id)
                ],
            ),
        )
        destination.node.add_dependency(self.mounted)
        for location in (source, destination):
            location.node.add_dependency(role)  # and on its policy: creating a location checks access
        task = datasync.CfnTask(
            self,
            "Task",
            source_location_arn=source.attr_location_arn,
            destination_location_arn=destination.attr_location_arn,
            options=datasync.CfnTask.OptionsProperty(
                object_tags="NONE", preserve_deleted_files="REMOVE", verify_mode="ONLY_FILES_TRANSFERRED"
            ),
        )
        cdk.CfnOutput(
            stack,
            "ModelsTaskArn",
            value=task.attr_task_arn,
            description="Copies models from the bucket: aws datasync start-task-execution --task-arn …",
        )
