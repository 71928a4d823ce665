"""Compute the cost of a month without jobs, from the templates of a stage and its schedules."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from gateway.aws.resources import SCHEDULES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MONTH_MINUTES = 30 * 24 * 60
# Lambda polls a queue with five concurrent long polls of 20 s, with or without messages.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
_POLLS_A_MINUTE = 15


def resources_of(templates: Path) -> list[dict[str, Any]]:
    """Read the resources of one stage's templates. Raises FileNotFoundError when there are none."""
    resources = [
        resource
        for path in templates.glob("comfyui-gateway-dev-*.template.json")
        for resource in json.loads(path.read_text())["Resources"].values()
    ]
    if not resources:
        raise FileNotFoundError(f"no templates in {templates}: run `make synth` before")
    return resources


def idle_units(templates: Path, clock: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """Return the units of a month. `templates`: folder of one stage; `clock`: units per scheduled call, by function."""
    resources = resources_of(templates)
    kinds = Counter(resource["Type"] for resource in resources)
    mappings = [each for each in resources if each["Type"] == "AWS::Lambda::EventSourceMapping"]
    queues = [each for each in mappings if "StartingPosition" not in each["Properties"]]
    alarms = [each["Properties"] for each in resources if each["Type"] == "AWS::CloudWatch::Alarm"]
    units: dict[str, float] = defaultdict(
        float,
        {
            "SQS request": len(queues) * _POLLS_A_MINUTE * MONTH_MINUTES,
            "CloudWatch alarm": sum(map(_metrics_of, alarms)),
            "CloudWatch dashboard": kinds["AWS::CloudWatch::Dashboard"],
            "CloudWatch metric": 2,  # those of executor_metrics; the others only exist with jobs
            "KMS key": kinds["AWS::KMS::Key"],
            "secret": kinds["AWS::SecretsManager::Secret"],
        },
    )
    for schedule in SCHEDULES:
        for unit, count in clock[schedule.function.name].items():
            units[unit] += count * MONTH_MINUTES / schedule.every_minutes
    return units


def _metrics_of(alarm: Mapping[str, Any]) -> int:
    return sum("MetricStat" in each for each in alarm["Metrics"]) if "Metrics" in alarm else 1
