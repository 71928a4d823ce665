"""The GPU instances of executors, with the models and without any open port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.function import make_log_group
from infra.nag_suppressions import NAG_S3, acknowledge, acknowledge_all_of

if TYPE_CHECKING:
    from infra.stage import Executors, Stage

MODELS_FOLDER = "/mnt/models"  # on an instance
# Calls of the ECS agent on an instance.
_AGENT_ACTIONS = [
    f"ecs:{action}"
    for action in (
        "RegisterContainerInstance", "DeregisterContainerInstance", "UpdateContainerInstancesState", "Poll",
        "StartTelemetrySession", "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange",
    )
]  # fmt: skip
_MOUNTPOINT = "https://s3.amazonaws.com/mountpoint-s3-release/latest/x86_64/mount-s3.rpm"


def make_network(scope: Construct, stage: Stage) -> ec2.Vpc:
    """Make a network whose instances have public addresses: a NAT gateway costs $33 a month when idle."""
    network = ec2.Vpc(
        scope,
        "Network",
        max_azs=3,
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC)],
        restrict_default_security_group=False,  # it is unused, and restricting it needs a function with admin rights
        gateway_endpoints={
            "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
            "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
        },
    )
    log = make_log_group(scope, "NetworkLog", stage)
    network.add_flow_log(
        "FlowLog",
        destination=ec2.FlowLogDestination.to_cloud_watch_logs(log),
        traffic_type=ec2.FlowLogTrafficType.REJECT,
    )
    return network


class GpuInstances(Construct):
    """An auto scaling group with one instance per task. `provider`: the ECS capacity provider that scales it."""

    def __init__(  # noqa: PLR0913  the resources that it connects
        self,
        scope: Construct,
        name: str,
        *,
        executors: Executors,
        cluster: ecs.Cluster,
        security_group: ec2.ISecurityGroup,
        spot: bool,
    ) -> None:
        super().__init__(scope, name)
        self._executors = executors
        self._security_group = security_group
        self._mounts_bucket = executors.models_volume == "s3"  # ECS mounts EFS for the task
        group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            vpc=cluster.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            mixed_instances_policy=autoscaling.MixedInstancesPolicy(
                launch_template=self._launch_template(cluster),
                launch_template_overrides=[
                    autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(each))
                    for each in executors.instance_types
                ],
                instances_distribution=autoscaling.InstancesDistribution(
                    on_demand_percentage_above_base_capacity=0 if spot else 100,
                    spot_allocation_strategy=autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
                ),
            ),
            min_capacity=0,
            max_capacity=executors.most,
            new_instances_protected_from_scale_in=True,  # until ECS reports that no task is left on it
        )
        acknowledge(group, "AwsSolutions-AS3", "Instances start and stop with the jobs; an alarm reports missing ones.")
        acknowledge(group, "AwsSolutions-EC26", "The rule does not check launch templates: this one encrypts the disk.")
        self.provider = ecs.AsgCapacityProvider(self, "Provider", auto_scaling_group=group, instance_warmup_period=300)
        cluster.add_asg_capacity_provider(self.provider)

    def _launch_template(self, cluster: ecs.Cluster) -> ec2.LaunchTemplate:
        role = self._make_role(cluster)
        return ec2.LaunchTemplate(
            self,
            "Template",
            # The AWS image with GPU drivers, the newest at the time of deployment.
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.GPU),
            role=role.without_policy_updates(),  # CDK would add more permissions than needed
            security_group=self._security_group,
            associate_public_ip_address=True,
            require_imdsv2=True,
            instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
            user_data=self._user_data(),
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        self._executors.disk_gib, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3
                    ),
                )
            ],
        )

    def _make_role(self, cluster: ecs.Cluster) -> iam.Role:
        """Allow an instance to join the cluster and to read the models. Its tasks have their own role."""
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        instances = cdk.Stack.of(self).format_arn(
            service="ecs", resource="container-instance", resource_name=f"{cluster.cluster_name}/*"
        )
        for actions, resources in (
            (_AGENT_ACTIONS, [cluster.cluster_arn, instances]),
            (["ecs:DiscoverPollEndpoint"], ["*"]),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "DiscoverPollEndpoint has no resource.")
        acknowledge_all_of(role, cluster, "container-instance", "The name of an instance is not known in advance.")
        if self._mounts_bucket:
            self._allow_models(role)
        return role

    def _allow_models(self, role: iam.Role) -> None:
        bucket = f"arn:{cdk.Aws.PARTITION}:s3:::{self._executors.models_bucket}"
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket]))
        role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{bucket}/*"]))
        named = f"{NAG_S3}{self._executors.models_bucket}/*"
        acknowledge(role, f"AwsSolutions-IAM5[Resource::{named}]", "The bucket has only models.")

    def _user_data(self) -> ec2.UserData:
        user_data = ec2.UserData.for_linux()
        # Shut down an instance that cannot join: only ECS lifts its protection, so it would cost money until noticed.
        user_data.add_commands("trap 'shutdown -h now' ERR", "set -e")
        if self._mounts_bucket:
            # Before the first task starts. Models that have been read stay on the disk.
            cache = "/var/cache/models"
            user_data.add_commands(
                f"dnf install -y {_MOUNTPOINT}",
                f"mkdir -p {MODELS_FOLDER} {cache}",
                f"mount-s3 --read-only --allow-other --cache {cache} {self._executors.models_bucket} {MODELS_FOLDER}",
            )
        user_data.add_commands(
            # Tasks on the host network get their own role instead of the instance's.
            "echo ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true >> /etc/ecs/ecs.config",
            # Before a spot interruption, the instance accepts no tasks and stops its tasks gracefully.
            "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
            # Image layers are cached until the disk is full, so that a task starts in seconds.
            "echo ECS_IMAGE_PULL_BEHAVIOR=prefer-cached >> /etc/ecs/ecs.config",
        )
        return user_data
