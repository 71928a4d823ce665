"""`/stats`: statistics of jobs, from the counts that functions.events.job_metrics keeps."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.api.routes import ROUTES
from functions.http.responses import json_response
from functions.use_cases.job_statistics import get_job_statistics
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain import timestamps
from gateway.domain.job import JobStatus

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from functions.use_cases.job_statistics import RecentJobStatistics


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""

    def handle_get_stats(_request: Request) -> Response[str]:
        recent = get_job_statistics(wiring.job_counts, wiring.clock, retention_days=wiring.settings.retention_days)
        return json_response(HTTPStatus.OK, _stats_json(recent))

    return {"getStats": handle_get_stats}


def _stats_json(recent: RecentJobStatistics) -> responses.StatsJson:
    statistics = recent.statistics
    by_status, rate = statistics.by_status, statistics.cache_hit_rate
    return {
        "jobs": {
            "queued": by_status[JobStatus.QUEUED],
            "running": by_status[JobStatus.RUNNING],
            "succeeded": by_status[JobStatus.SUCCEEDED],
            "failed": by_status[JobStatus.FAILED],
            "canceled": by_status[JobStatus.CANCELED],
            "total": sum(by_status.values()),
        },
        "failedByCode": statistics.failed_by_code,
        "averageProcessingTimeMs": statistics.mean_run_ms,
        "averageQueueWaitMs": statistics.mean_wait_ms,
        "cacheHitRate": None if rate is None else round(rate, 4),
        "since": timestamps.to_text(recent.since),
    }


handler = entry_point("stats", ROUTES, operations, ApiWiring)
