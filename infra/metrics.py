"""The metrics of alarms and dashboard: AWS's own, and the ones that functions.metrics emits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from gateway.aws.resources import JOB_CHANGES

if TYPE_CHECKING:
    from infra.api import ApiStack
    from infra.stage import Stage
    from infra.state import StateStack

_PERIOD = cdk.Duration.minutes(5)


class StageMetrics:
    """The metrics of one stage."""

    def __init__(self, stage: Stage, state: StateStack, api: ApiStack) -> None:
        self._stage = stage
        self._state = state
        self._api = api
        self.succeeded = self.own("JobsSucceeded")
        self.failed = self.own("JobsFailed")
        self.healthy = self.own("ExecutorsHealthy", "Maximum")
        self.busy = self.own("ExecutorsBusy", "Maximum")
        self.webhook_attempts = self.own("WebhookAttempts")
        self.webhook_failures = self.own("WebhookAttemptsFailed")
        self.requests = self._of_api("Count", "Sum")
        self.server_errors = self._of_api("5XXError", "Sum")
        self.client_errors = self._of_api("4XXError", "Sum")
        self.stream_age_ms = self._of_function("IteratorAge", JOB_CHANGES.function.name, "Maximum")
        table = {"TableName": state.table.table_name}
        self.throttles = {
            # Without a dimension: all functions of the account, because the limit is the account's.
            "calls": cloudwatch.Metric(
                namespace="AWS/Lambda", metric_name="Throttles", statistic="Sum", period=_PERIOD
            ),
            "reads": _of_table("ReadThrottleEvents", table),
            "writes": _of_table("WriteThrottleEvents", table),
        }

    def own(self, name: str, statistic: str = "Sum", **dimensions: str) -> cloudwatch.Metric:
        """Return a metric that functions.metrics emits."""
        return cloudwatch.Metric(
            namespace=self._stage.metrics_namespace,
            metric_name=name,
            dimensions_map=dimensions or None,
            statistic=statistic,
            period=_PERIOD,
        )

    def waiting(self, queue: str) -> cloudwatch.Metric:
        """Return the number of visible messages: those that wait."""
        return self._state.queues[queue].metric_approximate_number_of_messages_visible(
            statistic="Maximum", period=_PERIOD
        )

    def in_flight(self, queue: str) -> cloudwatch.Metric:
        """Return the number of messages in flight: received and not deleted yet."""
        return self._state.queues[queue].metric_approximate_number_of_messages_not_visible(
            statistic="Maximum", period=_PERIOD
        )

    def age_seconds(self, queue: str) -> cloudwatch.Metric:
        """Return the age of the oldest message."""
        return self._state.queues[queue].metric_approximate_age_of_oldest_message(statistic="Maximum", period=_PERIOD)

    def latency_ms(self, statistic: str) -> cloudwatch.Metric:
        """Return the latency of requests, including the time that `?wait=` waits."""
        return self._of_api("Latency", statistic)

    def function_errors(self, function: str) -> cloudwatch.Metric:
        """Return the number of invocations that raised or timed out."""
        return self._of_function("Errors", function, "Sum")

    def _of_function(self, metric: str, function: str, statistic: str) -> cloudwatch.Metric:
        return self._api.functions[function].function.metric(metric, statistic=statistic, period=_PERIOD)

    def _of_api(self, metric: str, statistic: str) -> cloudwatch.Metric:
        return self._api.rest_api.stage.metric(metric, statistic=statistic, period=_PERIOD)


def latest(name: str) -> str:
    """Return an expression for the last value of a metric, 0 before its first value.

    The newest minute of most metrics arrives late. If it were filled with zero, an alarm would see nothing but zeros:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    return f"FILL(FILL({name}, REPEAT), 0)"


def _of_table(name: str, table: dict[str, str]) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/DynamoDB", metric_name=name, dimensions_map=table, statistic="Sum", period=_PERIOD
    )
