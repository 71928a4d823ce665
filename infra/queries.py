"""Saved queries for CloudWatch Logs Insights, for the questions that come up most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_logs as logs
from constructs import Construct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.stage import Stage

# Title: commands of the query, which Logs Insights separates with `|`.
_OF_FUNCTIONS = {
    "one job or request by its id": (
        "fields @timestamp, service, action, message, status, error, attempt, @log",
        'filter correlation_id = "PUT THE ID HERE" or job_id = "PUT THE ID HERE"',
        "sort @timestamp",
    ),
    "errors": (
        "fields @timestamp, service, action, message, job_id, correlation_id, @log",
        'filter level = "ERROR"',
        "sort @timestamp desc",
        "limit 200",
    ),
    "rejected requests by error code": (
        'filter action = "request_refused"',
        "stats count(*) as requests by error, status",
        "sort requests desc",
    ),
    "failed webhook attempts": (
        "fields @timestamp, job_id, attempt, status_code, error, duration_ms, retry_in_seconds",
        'filter action = "webhook_attempted" and ispresent(error)',
        "sort @timestamp desc",
        "limit 200",
    ),
    "unsuccessful jobs by status and error": (
        'filter action = "job_end_counted"',
        "stats count(*) as jobs by status, error",
        "sort jobs desc",
    ),
    "lost jobs that the sweeper found": (
        "fields @timestamp, jobs_read, jobs_lost",
        'filter action = "swept"',
        "sort @timestamp desc",
        "limit 100",
    ),
}
_OF_API = {
    "slow requests": (
        "fields @timestamp, method, path, status, ms, functionMs",
        "filter ms > 1000",
        "sort ms desc",
        "limit 100",
    ),
    "requests by status": (
        "stats count(*) as requests, pct(ms, 50) as p50, pct(ms, 95) as p95 by status",
        "sort status",
    ),
    "5xx": (
        "fields @timestamp, method, path, status, error, requestId",
        "filter status >= 500",
        "sort @timestamp desc",
        "limit 100",
    ),
}


class Queries(Construct):
    """All saved queries, in a folder of the stage."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        stage: Stage,
        functions: Sequence[logs.ILogGroup],
        api: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, name)
        for queries, groups in ((_OF_FUNCTIONS, functions), (_OF_API, [api])):
            for title, steps in queries.items():
                logs.CfnQueryDefinition(
                    self,
                    title,
                    name=f"comfyui-gateway/{stage.name}/{title}",
                    query_string="\n| ".join(steps),
                    log_group_names=[group.log_group_name for group in groups],
                )
