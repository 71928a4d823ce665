"""One page that shows how a stage does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from gateway.aws.resources import JOB_QUEUES, WEBHOOK_QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.metrics import Signals
    from infra.stage import Stage

_WIDTH, _HEIGHT = 8, 6  # three widgets a row


class Dashboard(Construct):
    """The page. `dollars_per_gpu_hour` draws what a job costs."""

    def __init__(self, scope: Construct, name: str, *, stage: Stage, signals: Signals) -> None:
        super().__init__(scope, name)
        board = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"comfyui-gateway-{stage.name}")
        queues = [queue.name for queue in JOB_QUEUES.values()]
        board.add_widgets(
            _graph("Jobs that wait", [_named(signals.waiting(queue), queue) for queue in queues]),
            _graph("Oldest message, seconds", [_named(signals.age_seconds(queue), queue) for queue in queues]),
            _graph(
                "Jobs that run, or wait on an executor", [_named(signals.in_hand(queue), queue) for queue in queues]
            ),
        )
        board.add_widgets(
            _graph("Jobs ended", [signals.succeeded, signals.failed, signals.own("JobsCanceled")]),
            _graph("Failed, by error", [_by_error(stage)]),
            _graph("Accepted, and answered from the cache", [signals.own("JobsAccepted"), signals.own("CacheHits")]),
        )
        board.add_widgets(
            _graph("Wait in the queue, ms", [signals.own("QueueWait", each) for each in ("p50", "p95")]),
            _graph("Run time, ms", [signals.own("RunTime", each) for each in ("p50", "p95")]),
            _graph("Executors", [signals.healthy, signals.busy]),
        )
        board.add_widgets(
            _graph("Requests", [signals.requests, signals.client_errors, signals.server_errors]),
            _graph("Latency, ms", [signals.latency_ms(each) for each in ("p50", "p95", "p99")]),
            _graph("Refused", [signals.own("RequestsRateLimited"), signals.own("RequestsUnauthorized")]),
        )
        board.add_widgets(
            _graph("Webhooks", [signals.webhook_attempts, signals.webhook_failures]),
            _graph("Webhooks that wait", [signals.waiting(WEBHOOK_QUEUE.name)]),
            _graph("GPU dollars per job", [_dollars_per_job(stage, signals)]),
        )


def _graph(title: str, lines: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(lines), width=_WIDTH, height=_HEIGHT)


def _named(metric: cloudwatch.Metric, label: str) -> cloudwatch.Metric:
    return metric.with_(label=label)


def _by_error(stage: Stage) -> cloudwatch.MathExpression:
    """Find every error code that there has been: nothing here has to know them."""
    found = f'{{{stage.metrics_namespace},ErrorCode}} MetricName="JobsFailed"'
    return cloudwatch.MathExpression(expression=f"SEARCH('{found}', 'Sum', 300)", using_metrics={}, label="")


def _dollars_per_job(stage: Stage, signals: Signals) -> cloudwatch.MathExpression:
    # Executors are counted once a minute, so their sum is in minutes.
    price = stage.gpu_dollars_per_hour / 60
    return cloudwatch.MathExpression(
        expression=f"IF(done > 0, {price:.6f} * minutes / done)",
        using_metrics={"minutes": signals.own("ExecutorsHealthy", "Sum"), "done": signals.succeeded},
        label="dollars",
    )
