"""The CloudWatch dashboard of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from gateway.aws.resources import JOB_QUEUES, WEBHOOK_QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.metrics import StageMetrics
    from infra.stage import Stage

_WIDTH, _HEIGHT = 8, 6  # three widgets a row


class Dashboard(Construct):
    """The dashboard."""

    def __init__(self, scope: Construct, name: str, *, stage: Stage, metrics: StageMetrics) -> None:
        super().__init__(scope, name)
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"comfyui-gateway-{stage.name}")
        queues = [queue.name for queue in JOB_QUEUES.values()]
        board.add_widgets(
            _graph("Queued jobs", [_named(metrics.waiting(queue), queue) for queue in queues]),
            _graph("Age of the oldest message (s)", [_named(metrics.age_seconds(queue), queue) for queue in queues]),
            _graph("Jobs held by executors", [_named(metrics.in_flight(queue), queue) for queue in queues]),
        )
        board.add_widgets(
            _graph("Jobs ended", [metrics.succeeded, metrics.failed, metrics.own("JobsCanceled")]),
            _graph("Failed jobs by error code", [_by_error(stage)]),
            _graph("Accepted jobs and cache hits", [metrics.own("JobsAccepted"), metrics.own("CacheHits")]),
        )
        board.add_widgets(
            _graph("Queue wait (ms)", [metrics.own("QueueWait", each) for each in ("p50", "p95")]),
            _graph("Run time (ms)", [metrics.own("RunTime", each) for each in ("p50", "p95")]),
            _graph("Executors", [metrics.healthy, metrics.busy]),
        )
        board.add_widgets(
            _graph("Requests", [metrics.requests, metrics.client_errors, metrics.server_errors]),
            _graph("Latency (ms)", [metrics.latency_ms(each) for each in ("p50", "p95", "p99")]),
            _graph("Rejected requests", [metrics.own("RequestsRateLimited"), metrics.own("RequestsUnauthorized")]),
        )
        board.add_widgets(
            _graph("Webhook attempts", [metrics.webhook_attempts, metrics.webhook_failures]),
            _graph("Queued webhooks", [metrics.waiting(WEBHOOK_QUEUE.name)]),
            _graph("GPU cost per job (USD)", [_dollars_per_job(stage, metrics)]),
        )


def _graph(title: str, lines: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(lines), width=_WIDTH, height=_HEIGHT)


def _named(metric: cloudwatch.Metric, label: str) -> cloudwatch.Metric:
    return metric.with_(label=label)


def _by_error(stage: Stage) -> cloudwatch.MathExpression:
    """Search for all error codes, so that none has to be listed here."""
    found = f'{{{stage.metrics_namespace},ErrorCode}} MetricName="JobsFailed"'
    return cloudwatch.MathExpression(expression=f"SEARCH('{found}', 'Sum', 300)", using_metrics={}, label="")


def _dollars_per_job(stage: Stage, metrics: StageMetrics) -> cloudwatch.MathExpression:
    # Executors are counted once a minute, so the sum is in minutes.
    price = stage.gpu_dollars_per_hour / 60
    return cloudwatch.MathExpression(
        expression=f"IF(done > 0, {price:.6f} * minutes / done)",
        using_metrics={"minutes": metrics.own("ExecutorsHealthy", "Sum"), "done": metrics.succeeded},
        label="USD",
    )
