"""What wakes somebody up. Each alarm has a page in docs/runbooks/, named after it: what it means and what to do."""

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

    from infra.metrics import Signals

_HOUR_SECONDS = 3600
# A webhook that is in its queue for longer than its retries take is not retried any more.
_WEBHOOKS_SECONDS = MAX_RETRY_PERIOD_SECONDS + _HOUR_SECONDS


class Alarms(Construct):
    """All alarms of a stage, told to a topic when they begin and when they end."""

    def __init__(
        self, scope: Construct, name: str, *, signals: Signals, topic: sns.ITopic, oldest_job_minutes: int
    ) -> None:
        super().__init__(scope, name)
        self._signals = signals
        self._action = actions.SnsAction(topic)
        for queue in JOB_QUEUES.values():
            self._add_age(queue.name, oldest_job_minutes * 60)
            self._add_dead_letters(queue.dead_letter_name)
        self._add_age(WEBHOOK_QUEUE.name, _WEBHOOKS_SECONDS)
        self._add_dead_letters(WEBHOOK_QUEUE.dead_letter_name)
        self._add_executors()
        self._add_failures()
        self._add_background()

    def _add_age(self, queue: str, seconds: int) -> None:
        self._add(
            f"oldest-message-{queue}",
            "oldest-message",
            f"The oldest message in {queue} has been there for longer than it should.",
            self._signals.age_seconds(queue),
            threshold=seconds,
            minutes=5,
        )

    def _add_dead_letters(self, queue: str) -> None:
        self._add(
            f"dead-letters-{queue}",
            "dead-letters",
            f"There are messages in {queue}: what they are about was given up on.",
            self._signals.waiting(queue),
            threshold=0,
            minutes=5,
        )

    def _add_executors(self) -> None:
        waiting = {f"w{number}": self._signals.waiting(queue.name) for number, queue in enumerate(JOB_QUEUES.values())}
        self._add(
            "no-executor",
            "no-executor",
            "Jobs wait, and no executor with a ComfyUI that answers is there to take them.",
            _math(
                f"IF({latest('healthy')} < 1 AND ({' + '.join(map(latest, waiting))}) > 0, 1, 0)",
                {"healthy": self._signals.healthy, **waiting},
            ),
            threshold=0,
            minutes=1,
            times=10,  # an executor that is started for these jobs has this long to come up
        )

    def _add_failures(self) -> None:
        signals = self._signals
        self._add(
            "jobs-failing",
            "jobs-failing",
            "More than a quarter of the jobs that ended have failed.",
            _share(signals.failed, signals.succeeded, at_least=10),
            threshold=25,
            minutes=15,
        )
        self._add(
            "api-errors",
            "api-errors",
            "More than one request in twenty was answered with a 5xx.",
            _math(
                "IF(asked >= 20, 100 * errors / asked, 0)", {"asked": signals.requests, "errors": signals.server_errors}
            ),
            threshold=5,
            minutes=5,
        )
        self._add(
            "webhooks-failing",
            "webhooks-failing",
            "More than half of the attempts to deliver webhooks have failed.",
            _math(
                "IF(tried >= 10, 100 * failed / tried, 0)",
                {"tried": signals.webhook_attempts, "failed": signals.webhook_failures},
            ),
            threshold=50,
            minutes=15,
        )
        self._add(
            "throttled",
            "throttled",
            "AWS refuses calls of functions, or reads and writes of the table, as there are too many.",
            _math(" + ".join(f"FILL({name}, 0)" for name in signals.throttles), signals.throttles),
            threshold=0,
            minutes=5,
        )

    def _add_background(self) -> None:
        by_queue = {source.function.name for source in QUEUE_SOURCES}
        by_clock = {schedule.function.name for schedule in SCHEDULES}
        names = sorted({JOB_CHANGES.function.name} | by_queue | by_clock)
        errors = {name: self._signals.function_errors(name) for name in names}
        self._add(
            "background-errors",
            "background-errors",
            "A function that no request calls has failed three times within a quarter of an hour.",
            _math(" + ".join(f"FILL({name}, 0)" for name in errors), errors),
            threshold=2,
            minutes=15,
        )
        self._add(
            "stream-behind",
            "stream-behind",
            "What the table's stream tells has not been counted for an hour; after a day it is lost.",
            self._signals.stream_age_ms,
            threshold=_HOUR_SECONDS * 1000,
            minutes=5,
        )
        self._add(
            "events-lost",
            "events-lost",
            f"The rule {WEBHOOK_RULE.name} could not put events into its queue; they lie in another one.",
            self._signals.waiting(EVENTS_LOST),
            threshold=0,
            minutes=5,
        )

    def _add(  # noqa: PLR0913  what makes an alarm
        self,
        name: str,
        runbook: str,
        meaning: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        minutes: int,
        times: int = 1,
    ) -> None:
        """Add one that goes off when a metric, over so many minutes, is above a threshold, so many times in a row."""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=f"{meaning} See docs/runbooks/{runbook}.md",
            metric=_over(metric, minutes),
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            threshold=threshold,
            evaluation_periods=times,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)


def _share(part: cloudwatch.Metric, rest: cloudwatch.Metric, *, at_least: int) -> cloudwatch.MathExpression:
    """Make the percentage that a part is of the whole, 0 while the whole is too small to tell."""
    whole = "(FILL(part, 0) + FILL(rest, 0))"
    return _math(f"IF({whole} >= {at_least}, 100 * FILL(part, 0) / {whole}, 0)", {"part": part, "rest": rest})


def _math(expression: str, metrics: Mapping[str, cloudwatch.IMetric]) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(expression=expression, using_metrics=dict(metrics))


def _over(metric: cloudwatch.IMetric, minutes: int) -> cloudwatch.IMetric:
    """Look at a metric over a period; an expression hands it on to what it is made of."""
    period = cdk.Duration.minutes(minutes)
    if isinstance(metric, cloudwatch.MathExpression):
        return metric.with_(period=period)
    if isinstance(metric, cloudwatch.Metric):
        return metric.with_(period=period)
    raise TypeError("neither a metric nor an expression")
