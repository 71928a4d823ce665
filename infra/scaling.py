"""Scaling of an ECS service between zero and the maximum number of tasks, by queued and running jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

if TYPE_CHECKING:
    from aws_cdk import aws_ecs as ecs

    from infra.stage import Executors

_COOLDOWN = cdk.Duration.minutes(5)  # the time for an instance to start; no task is stopped earlier


class Scaling(Construct):
    """Scaling of one service. `desired`: the number of executors that the jobs need.

    An executor protects its task while it has a job, so that scaling in stops idle tasks only.
    """

    def __init__(  # noqa: PLR0913  what to scale, and by what
        self,
        scope: Construct,
        name: str,
        *,
        cluster: ecs.Cluster,
        service: ecs.Ec2Service,
        executors: Executors,
        desired: cloudwatch.MathExpression,
    ) -> None:
        super().__init__(scope, name)
        self._executors = executors
        self._desired = desired
        self._target = scaling.ScalableTarget(
            self,
            "Tasks",
            service_namespace=scaling.ServiceNamespace.ECS,
            resource_id=f"service/{cluster.cluster_name}/{service.service_name}",
            scalable_dimension="ecs:service:DesiredCount",
            min_capacity=0,
            max_capacity=executors.most,
        )

    def follow(self) -> None:
        """Follow the desired number within a minute."""
        follow = self._action("Follow", scaling.AdjustmentType.EXACT_CAPACITY)
        for count in range(1, self._executors.most + 1):
            is_first, is_last = count == 1, count == self._executors.most
            follow.add_adjustment(
                adjustment=count, lower_bound=0 if is_first else count, upper_bound=None if is_last else count + 1
            )
        self._when("Wanted", self._desired, minutes=1, above=True, then=follow)

    def fill_up(self, missing: cloudwatch.MathExpression) -> None:
        """Add one task at a time while executors are missing for longer than they need to start."""
        more = self._action("FillUp", scaling.AdjustmentType.CHANGE_IN_CAPACITY)
        more.add_adjustment(adjustment=1, lower_bound=0)
        self._when("Missing", missing, minutes=self._executors.fallback_minutes, above=True, then=more)

    def stop_when_idle(self) -> None:
        """Scale to zero after a time without jobs."""
        end = self._action("End", scaling.AdjustmentType.EXACT_CAPACITY)
        end.add_adjustment(adjustment=0, upper_bound=0)
        self._when("Idle", self._desired, minutes=self._executors.idle_minutes, above=False, then=end)

    def _action(self, name: str, kind: scaling.AdjustmentType) -> scaling.StepScalingAction:
        return scaling.StepScalingAction(
            self,
            name,
            scaling_target=self._target,
            adjustment_type=kind,
            cooldown=_COOLDOWN,
            metric_aggregation_type=scaling.MetricAggregationType.MAXIMUM,
        )

    def _when(
        self,
        name: str,
        metric: cloudwatch.MathExpression,
        *,
        minutes: int,
        above: bool,
        then: scaling.StepScalingAction,
    ) -> None:
        """Scale when a metric has been above zero, or not above it, for a number of minutes."""
        greater = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        not_greater = cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description="Scales executors. Sends no notification.",
            metric=metric,
            threshold=0,
            comparison_operator=greater if above else not_greater,
            evaluation_periods=minutes,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.ApplicationScalingAction(then))
