"""The instances that executors run on: with a GPU, the models, and nothing that anybody could connect to."""

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

MODELS_FOLDER = "/mnt/models"  # of an instance
# What the agent on an instance asks of ECS.
_TAKING_PART = [
    f"ecs:{action}"
    for action in (
        "RegisterContainerInstance", "DeregisterContainerInstance", "UpdateContainerInstancesState", "Poll",
        "StartTelemetrySession", "SubmitAttachmentStateChanges", "SubmitContainerStateChange", "SubmitTaskStateChange",
    )
]  # fmt: skip
_MOUNTPOINT = "https://s3.amazonaws.com/mountpoint-s3-release/latest/x86_64/mount-s3.rpm"


def make_network(scope: Construct, stage: Stage) -> ec2.Vpc:
    """Make a network in which instances reach AWS by addresses of their own: a NAT gateway costs $33 a month idle."""
    network = ec2.Vpc(
        scope,
        "Network",
        max_azs=3,
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC)],
        restrict_default_security_group=False,  # nothing is in it; restricting takes a function that runs as admin
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
    """As many as there are tasks for, from none on: `provider` sees to it."""

    def __init__(  # noqa: PLR0913  what they belong to
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
        self._mounts_bucket = executors.models_volume == "s3"  # EFS is mounted by ECS, for the task
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
            new_instances_protected_from_scale_in=True,  # until ECS says that no task is left there
        )
        acknowledge(group, "AwsSolutions-AS3", "Instances come and go with the jobs; alarms tell when none comes.")
        acknowledge(group, "AwsSolutions-EC26", "The rule does not look into launch templates: theirs is encrypted.")
        self.provider = ecs.AsgCapacityProvider(self, "Provider", auto_scaling_group=group, instance_warmup_period=300)
        cluster.add_asg_capacity_provider(self.provider)

    def _launch_template(self, cluster: ecs.Cluster) -> ec2.LaunchTemplate:
        role = self._make_role(cluster)
        return ec2.LaunchTemplate(
            self,
            "Template",
            # AWS's own, with the drivers of the GPU; the newest when the stack is deployed.
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.GPU),
            role=role.without_policy_updates(),  # CDK would let it do more than it has to
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
        """Let an instance take part in the cluster, and read what it mounts; its tasks have roles of their own."""
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        instances = cdk.Stack.of(self).format_arn(
            service="ecs", resource="container-instance", resource_name=f"{cluster.cluster_name}/*"
        )
        for actions, resources in (
            (_TAKING_PART, [cluster.cluster_arn, instances]),
            (["ecs:DiscoverPollEndpoint"], ["*"]),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=resources))
        acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "DiscoverPollEndpoint has no resource.")
        acknowledge_all_of(role, cluster, "container-instance", "An instance has no name before it is there.")
        if self._mounts_bucket:
            self._allow_models(role)
        return role

    def _allow_models(self, role: iam.Role) -> None:
        bucket = f"arn:{cdk.Aws.PARTITION}:s3:::{self._executors.models_bucket}"
        role.add_to_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket]))
        role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{bucket}/*"]))
        named = f"{NAG_S3}{self._executors.models_bucket}/*"
        acknowledge(role, f"AwsSolutions-IAM5[Resource::{named}]", "The bucket is for models.")

    def _user_data(self) -> ec2.UserData:
        user_data = ec2.UserData.for_linux()
        # An instance that cannot take part would be paid for until somebody sees it, as only ECS lifts its protection.
        user_data.add_commands("trap 'shutdown -h now' ERR", "set -e")
        if self._mounts_bucket:
            # Before the first task comes. What is read of the models stays on the disk.
            cache = "/var/cache/models"
            user_data.add_commands(
                f"dnf install -y {_MOUNTPOINT}",
                f"mkdir -p {MODELS_FOLDER} {cache}",
                f"mount-s3 --read-only --allow-other --cache {cache} {self._executors.models_bucket} {MODELS_FOLDER}",
            )
        user_data.add_commands(
            # Tasks on the instance's network get their own role, and not the instance's.
            "echo ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST=true >> /etc/ecs/ecs.config",
            # An instance that is about to be taken back takes no more tasks, and ends those that it has in good order.
            "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
            # What an image needs to be loaded is kept until the disk is full: a task starts in seconds then.
            "echo ECS_IMAGE_PULL_BEHAVIOR=prefer-cached >> /etc/ecs/ecs.config",
        )
        return user_data
