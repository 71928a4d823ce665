"""The stack with executors on GPU instances: an ECS service on spot instances, and one on demand as the fallback.

Each task has an instance and its GPU to itself, and two containers on the host network: ComfyUI, which listens on
the loopback interface only, and the executor. Nothing can connect to an instance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
import jsii
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from gateway.aws.resources import JOB_QUEUES
from gateway.settings import ExecutorSettings
from infra.executor_task import ExecutorTask
from infra.function import make_log_group
from infra.gpu_instances import GpuInstances, make_network
from infra.metrics import latest
from infra.model_files import ModelFiles
from infra.nag_suppressions import acknowledge
from infra.scaling import Scaling

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from constructs import Construct, IConstruct

    from infra.stage import Executors, Stage
    from infra.state import StateStack

_MINUTE = cdk.Duration.minutes(1)


@jsii.implements(cdk.IAspect)
class _ServicesAfterProviders:
    """Makes services depend on the capacity provider associations; CDK does not order them."""

    def visit(self, node: IConstruct) -> None:
        """Visit a construct of the stack."""
        if isinstance(node, ecs.CfnService):
            for other in cdk.Stack.of(node).node.find_all():
                if isinstance(other, ecs.CfnClusterCapacityProviderAssociations):
                    node.add_dependency(other)


class ExecutorStack(cdk.Stack):
    """The stack. `log_group`: the log of both containers."""

    def __init__(  # noqa: PLR0913  the stacks and options that it depends on
        self,
        scope: Construct,
        name: str,
        *,
        stage: Stage,
        executors: Executors,
        state: StateStack,
        policy: iam.IManagedPolicy,
    ) -> None:
        super().__init__(scope, name)
        self._stage = stage
        self._executors = executors
        self._state = state
        self.log_group = make_log_group(self, "Log", stage)
        network = make_network(self, stage)
        self._security_group = ec2.SecurityGroup(
            self, "Closed", vpc=network, description="Nobody connects to an executor: it connects to AWS."
        )
        self._model_files = self._copy_models(network) if executors.models_volume == "efs" else None
        self._cluster = ecs.Cluster(self, "Cluster", vpc=network)
        acknowledge(
            self._cluster,
            "AwsSolutions-ECS4",
            "Heartbeats in the table count executors for free.",
        )
        self._task = ExecutorTask(
            self,
            "Task",
            executors=executors,
            model_files=self._model_files,
            environment={
                "AWS_REGION": self.region,
                **state.settings,
                **stage.settings_of(ExecutorSettings),
            },
            policy=policy,
            cluster=self._cluster,
            log_group=self.log_group,
        )
        self._serve("Spot", spot=True)
        self._serve("OnDemand", spot=False)
        cdk.Aspects.of(self).add(_ServicesAfterProviders(), priority=cdk.AspectPriority.READONLY - 1)

    def _copy_models(self, network: ec2.Vpc) -> ModelFiles:
        return ModelFiles(
            self,
            "Models",
            stage=self._stage,
            bucket=self._executors.models_bucket,
            network=network,
            group=self._security_group,
        )

    def _serve(self, name: str, *, spot: bool) -> None:
        instances = GpuInstances(
            self,
            f"{name}Instances",
            executors=self._executors,
            cluster=self._cluster,
            security_group=self._security_group,
            spot=spot,
        )
        service = ecs.Ec2Service(
            self,
            name,
            cluster=self._cluster,
            task_definition=self._task.definition,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider=instances.provider.capacity_provider_name, weight=1)
            ],
            # Each deployment starts with none, and jobs scale it up. A task with a job is protected and keeps running.
            desired_count=0,
            # A new task replaces an old one when that has no job, so that two GPUs are never paid for at once.
            min_healthy_percent=0,
            max_healthy_percent=100,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )
        service.node.add_dependency(instances.provider)
        if self._model_files is not None:
            service.node.add_dependency(self._model_files.mounted)
        scaling = Scaling(
            self,
            f"{name}Scaling",
            cluster=self._cluster,
            service=service,
            executors=self._executors,
            desired=self._desired(),
        )
        if spot:
            scaling.follow()
        else:
            scaling.fill_up(self._missing())
        scaling.stop_when_idle()

    def _desired(self) -> cloudwatch.MathExpression:
        """Return the number of executors that the queued and running jobs need, up to the maximum."""
        queues = [self._state.queues[queue.name] for queue in JOB_QUEUES.values()]
        counts = [
            *(queue.metric_approximate_number_of_messages_visible(statistic="Maximum") for queue in queues),
            *(queue.metric_approximate_number_of_messages_not_visible(statistic="Maximum") for queue in queues),
        ]
        metrics: dict[str, cloudwatch.IMetric] = {f"m{number}": count for number, count in enumerate(counts)}
        jobs = " + ".join(map(latest, metrics))
        desired = f"CEIL(({jobs}) / {self._executors.jobs_per_executor})"
        most = self._executors.most
        return cloudwatch.MathExpression(
            expression=f"IF({desired} > {most}, {most}, {desired})", using_metrics=metrics, period=_MINUTE
        )

    def _missing(self) -> cloudwatch.MathExpression:
        """Return the number of missing executors. Executors outside this stack count as present."""
        healthy = cloudwatch.Metric(
            namespace=self._stage.metrics_namespace, metric_name="ExecutorsHealthy", statistic="Maximum"
        )
        return cloudwatch.MathExpression(
            expression=f"desired - {latest('healthy')}",
            using_metrics={"desired": self._desired(), "healthy": healthy},
            period=_MINUTE,
        )
