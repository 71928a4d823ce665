"""The ECS task of an executor: a ComfyUI container and an executor container on the host network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.gpu_instances import MODELS_FOLDER
from infra.nag_suppressions import acknowledge, acknowledge_all_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_logs as logs

    from infra.model_files import ModelFiles
    from infra.stage import Executors

_PORT = 8188
# Within the two minutes of notice before a spot instance is interrupted. The executor releases its jobs in this time.
_STOP_SECONDS, _GRACE_SECONDS = 115, 90
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<name>[^:@]+)[:@](?P<tag>.+)"
)
_HEALTH_FILE = "/tmp/executor-alive"  # noqa: S108  in its own container


class ExecutorTask(Construct):
    """The task definition."""

    def __init__(  # noqa: PLR0913  the parts of a task
        self,
        scope: Construct,
        name: str,
        *,
        executors: Executors,
        model_files: ModelFiles | None,
        environment: Mapping[str, str],
        policy: iam.IManagedPolicy,
        cluster: ecs.Cluster,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, name)
        self._log_group = log_group
        self.definition = ecs.Ec2TaskDefinition(self, "Definition", network_mode=ecs.NetworkMode.HOST)
        self._allow(policy, cluster)
        comfyui = self._add_comfyui(executors)
        self._add_models(comfyui, model_files)
        self._add_executor(executors, environment).add_container_dependencies(
            # It starts after ComfyUI and, more important, stops before it.
            ecs.ContainerDependency(container=comfyui, condition=ecs.ContainerDependencyCondition.START)
        )
        acknowledge(self.definition, "AwsSolutions-ECS2", "The variables name tables and queues; none is secret.")
        acknowledge(
            self.definition, "AwsSolutions-IAM5[Resource::*]", "GetAuthorizationToken, for ECR, has no resource."
        )

    def _add_comfyui(self, executors: Executors) -> ecs.ContainerDefinition:
        check = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{_PORT}/system_stats', timeout=4)"
        return self.definition.add_container(
            "comfyui",
            image=self._image("ComfyuiImage", executors.comfyui_image),
            command=["--listen", "127.0.0.1", "--port", str(_PORT)],
            gpu_count=1,
            memory_reservation_mib=8192,
            health_check=ecs.HealthCheck(
                command=["CMD", "python3", "-c", check],
                interval=cdk.Duration.seconds(15),
                timeout=cdk.Duration.seconds(5),
                retries=5,
                start_period=cdk.Duration.seconds(300),  # it imports its nodes and scans the models
            ),
            logging=self._logging("comfyui"),
        )

    def _add_models(self, comfyui: ecs.ContainerDefinition, model_files: ModelFiles | None) -> None:
        """Mount the models: the bucket that the instance has mounted, or its copy on EFS."""
        if model_files is None:
            self.definition.add_volume(name="models", host=ecs.Host(source_path=MODELS_FOLDER))
        else:
            model_files.mount_in(self.definition, "models")
        comfyui.add_mount_points(ecs.MountPoint(container_path="/models", source_volume="models", read_only=True))

    def _add_executor(self, executors: Executors, environment: Mapping[str, str]) -> ecs.ContainerDefinition:
        return self.definition.add_container(
            "executor",
            image=self._image("ExecutorImage", executors.executor_image),
            environment={
                "SHUTDOWN_GRACE_SECONDS": str(_GRACE_SECONDS),
                **environment,
                "COMFYUI_URL": f"http://127.0.0.1:{_PORT}",
                "HEALTH_FILE": _HEALTH_FILE,
            },
            memory_reservation_mib=512,
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-m", "executor.liveness"],
                interval=cdk.Duration.seconds(30),
                timeout=cdk.Duration.seconds(10),
                retries=3,
                start_period=cdk.Duration.seconds(30),
            ),
            stop_timeout=cdk.Duration.seconds(_STOP_SECONDS),
            logging=self._logging("executor"),
        )

    def _allow(self, policy: iam.IManagedPolicy, cluster: ecs.Cluster) -> None:
        role = self.definition.task_role
        role.add_managed_policy(policy)
        tasks = cdk.Stack.of(self).format_arn(service="ecs", resource="task", resource_name=f"{cluster.cluster_name}/*")
        role.add_to_principal_policy(
            iam.PolicyStatement(actions=["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], resources=[tasks])
        )
        acknowledge_all_of(role, cluster, "task", "The name of a task is not known in advance.")

    def _image(self, name: str, image: str) -> ecs.ContainerImage:
        """Return the container image. Allows the task to pull it if it is in ECR."""
        in_ecr = _ECR.fullmatch(image)
        if in_ecr is None:
            return ecs.ContainerImage.from_registry(image)
        arn = f"arn:{cdk.Aws.PARTITION}:ecr:{in_ecr['region']}:{in_ecr['account']}:repository/{in_ecr['name']}"
        repository = ecr.Repository.from_repository_attributes(
            self, name, repository_arn=arn, repository_name=in_ecr["name"]
        )
        return ecs.ContainerImage.from_ecr_repository(repository, in_ecr["tag"])

    def _logging(self, prefix: str) -> ecs.LogDriver:
        return ecs.LogDrivers.aws_logs(log_group=self._log_group, stream_prefix=prefix)
