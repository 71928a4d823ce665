"""The stack with all functions, the REST API, and the event sources of background functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources

from functions.routing import API_FUNCTIONS
from gateway.aws.resources import JOB_CHANGES, QUEUE_SOURCES, REQUEST_SECONDS, SCHEDULES
from infra.bundle import LAMBDA, Platform
from infra.function import GatewayFunction
from infra.nag_suppressions import acknowledge
from infra.rest_api import RestApi

if TYPE_CHECKING:
    from constructs import Construct

    from gateway.aws.resources import QueueSourceResource, ScheduleResource, StreamSourceResource
    from infra.stage import Stage
    from infra.state import StateStack


class ApiStack(cdk.Stack):
    """The stack. `functions`: all functions by name."""

    def __init__(
        self, scope: Construct, name: str, *, stage: Stage, state: StateStack, platform: Platform = LAMBDA
    ) -> None:
        super().__init__(scope, name)
        self._stage = stage
        self._state = state
        self._platform = platform
        self.functions: dict[str, GatewayFunction] = {}
        for function in sorted(API_FUNCTIONS):
            self._function(function, REQUEST_SECONDS, serves_requests=True)
        for source in QUEUE_SOURCES:
            self._add_queue_source(source)
        self._add_stream_source(JOB_CHANGES)
        for schedule in SCHEDULES:
            self._add_schedule(schedule)
        self.rest_api = RestApi(
            self, "RestApi", stage=stage, functions={name: made.called for name, made in self.functions.items()}
        )
        cdk.CfnOutput(self, "Url", value=self.rest_api.url)

    def _function(self, name: str, timeout_seconds: int, *, serves_requests: bool = False) -> GatewayFunction:
        """Return the function of this name. It is made at the first call."""
        if name not in self.functions:
            self.functions[name] = GatewayFunction(
                self,
                name,
                stage=self._stage,
                state=self._state,
                timeout_seconds=timeout_seconds,
                serves_requests=serves_requests,
                platform=self._platform,
            )
        return self.functions[name]

    def _add_queue_source(self, source: QueueSourceResource) -> None:
        function = self._function(source.function.name, source.function.timeout_seconds)
        function.called.add_event_source(
            sources.SqsEventSource(
                self._state.queues[source.queue_name],
                batch_size=source.batch_size,
                report_batch_item_failures=True,
                max_concurrency=source.function.max_concurrency,
            )
        )

    def _add_stream_source(self, source: StreamSourceResource) -> None:
        function = self._function(source.function.name, source.function.timeout_seconds)
        function.called.add_event_source(
            sources.DynamoEventSource(
                self._state.table,
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=source.batch_size,
                max_batching_window=cdk.Duration.seconds(source.window_seconds),
                filters=[{"pattern": json.dumps(pattern)} for pattern in source.patterns],
                bisect_batch_on_error=False,
            )
        )
        acknowledge(
            function.role,
            "AwsSolutions-IAM5[Resource::*]",
            "ListStreams and X-Ray have no resource that a policy could name.",
        )

    def _add_schedule(self, schedule: ScheduleResource) -> None:
        function = self._function(schedule.function.name, schedule.function.timeout_seconds)
        every = cdk.Duration.minutes(schedule.every_minutes)
        # The next scheduled run is the retry.
        target = targets.LambdaFunction(function.called, retry_attempts=0, max_event_age=every)
        events.Rule(self, f"Schedule-{schedule.function.name}", schedule=events.Schedule.rate(every), targets=[target])
