"""The alarms of a stage. Each has a runbook in docs/runbooks/: what the alarm means and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from gateway.aws.resources import JOB_CHANGES, JOB_QUEUES, QUEUE_SOURCES, SCHEDULES, WEBHOOK_QUEUE, WEBHOOK_RULE
from gateway.domain.delivery import MAX_RETRY_PERIOD_SECONDS
from infra.metrics import latest
from infra.state import EVENTS_LOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_sns as sns

    from infra.metrics import StageMetrics

_HOUR_SECONDS = 3600
# A webhook waits in its queue between retries. An older message is no longer retried.
_MAX_WEBHOOK_AGE_SECONDS = MAX_RETRY_PERIOD_SECONDS + _HOUR_SECONDS


class Alarms(Construct):
    """All alarms. A topic is notified when an alarm goes off and when it recovers."""

    def __init__(
        self, scope: Construct, name: str, *, metrics: StageMetrics, topic: sns.ITopic, oldest_job_minutes: int
    ) -> None:
        super().__init__(scope, name)
        self._metrics = metrics
        self._action = actions.SnsAction(topic)
        for queue in JOB_QUEUES.values():
            self._add_age(queue.name, oldest_job_minutes * 60)
            self._add_dead_letters(queue.dead_letter_name)
        self._add_age(WEBHOOK_QUEUE.name, _MAX_WEBHOOK_AGE_SECONDS)
        self._add_dead_letters(WEBHOOK_QUEUE.dead_letter_name)
        self._add_executors()
        self._add_failures()
        self._add_background()

    def _add_age(self, queue: str, seconds: int) -> None:
        self._add(
            f"oldest-message-{queue}",
            "oldest-message",
            f"The oldest message in {queue} is too old.",
            self._metrics.age_seconds(queue),
            threshold=seconds,
            minutes=5,
        )

    def _add_dead_letters(self, queue: str) -> None:
        self._add(
            f"dead-letters-{queue}",
            "dead-letters",
            f"There are messages in {queue}: their processing has failed for good.",
            self._metrics.waiting(queue),
            threshold=0,
            minutes=5,
        )

    def _add_executors(self) -> None:
        waiting = {f"w{number}": self._metrics.waiting(queue.name) for number, queue in enumerate(JOB_QUEUES.values())}
        self._add(
            "no-executor",
            "no-executor",
            "Jobs are queued, and no executor has a reachable ComfyUI.",
            _math(
                f"IF({latest('healthy')} < 1 AND ({' + '.join(map(latest, waiting))}) > 0, 1, 0)",
                {"healthy": self._metrics.healthy, **waiting},
            ),
            threshold=0,
            minutes=1,
            periods=10,  # the time for an executor to start that is launched for these jobs
        )

    def _add_failures(self) -> None:
        metrics = self._metrics
        self._add(
            "jobs-failing",
            "jobs-failing",
            "More than 25% of the ended jobs have failed.",
            _share(metrics.failed, metrics.succeeded, at_least=10),
            threshold=25,
            minutes=15,
        )
        self._add(
            "api-errors",
            "api-errors",
            "More than 5% of the requests got a 5xx response.",
            _math(
                "IF(requests >= 20, 100 * errors / requests, 0)",
                {"requests": metrics.requests, "errors": metrics.server_errors},
            ),
            threshold=5,
            minutes=5,
        )
        self._add(
            "webhooks-failing",
            "webhooks-failing",
            "More than 50% of the webhook attempts have failed.",
            _math(
                "IF(attempts >= 10, 100 * failed / attempts, 0)",
                {"attempts": metrics.webhook_attempts, "failed": metrics.webhook_failures},
            ),
            threshold=50,
            minutes=15,
        )
        self._add(
            "throttled",
            "throttled",
            "AWS throttles function invocations, or reads or writes of the table.",
            _math(" + ".join(f"FILL({name}, 0)" for name in metrics.throttles), metrics.throttles),
            threshold=0,
            minutes=5,
        )

    def _add_background(self) -> None:
        by_queue = {source.function.name for source in QUEUE_SOURCES}
        by_clock = {schedule.function.name for schedule in SCHEDULES}
        names = sorted({JOB_CHANGES.function.name} | by_queue | by_clock)
        errors = {name: self._metrics.function_errors(name) for name in names}
        self._add(
            "background-errors",
            "background-errors",
            "A background function has failed three times within 15 minutes.",
            _math(" + ".join(f"FILL({name}, 0)" for name in errors), errors),
            threshold=2,
            minutes=15,
        )
        self._add(
            "stream-behind",
            "stream-behind",
            "Changes in the table's stream have not been processed for an hour. They expire after a day.",
            self._metrics.stream_age_ms,
            threshold=_HOUR_SECONDS * 1000,
            minutes=5,
        )
        self._add(
            "events-lost",
            "events-lost",
            f"The rule {WEBHOOK_RULE.name} could not send events to its queue; they are in {EVENTS_LOST}.",
            self._metrics.waiting(EVENTS_LOST),
            threshold=0,
            minutes=5,
        )

    def _add(  # noqa: PLR0913  the parts of an alarm
        self,
        name: str,
        runbook: str,
        description: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        minutes: int,
        periods: int = 1,
    ) -> None:
        """Add an alarm for a metric above a threshold in `periods` consecutive periods of `minutes` each."""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=f"{description} See docs/runbooks/{runbook}.md",
            metric=_over(metric, minutes),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=threshold,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)


def _share(part: cloudwatch.Metric, rest: cloudwatch.Metric, *, at_least: int) -> cloudwatch.MathExpression:
    """Return part / (part + rest) in percent, or 0 if there are fewer than `at_least` in all."""
    whole = "(FILL(part, 0) + FILL(rest, 0))"
    return _math(f"IF({whole} >= {at_least}, 100 * FILL(part, 0) / {whole}, 0)", {"part": part, "rest": rest})


def _math(expression: str, metrics: Mapping[str, cloudwatch.IMetric]) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(expression=expression, using_metrics=dict(metrics))


def _over(metric: cloudwatch.IMetric, minutes: int) -> cloudwatch.IMetric:
    """Set the period of a metric, or of all metrics in an expression."""
    period = cdk.Duration.minutes(minutes)
    if isinstance(metric, cloudwatch.MathExpression):
        return metric.with_(period=period)
    if isinstance(metric, cloudwatch.Metric):
        return metric.with_(period=period)
    raise TypeError("neither a metric nor an expression")
