"""`/stats`: counts of jobs, kept by functions.events.job_metrics: one query, however many jobs there are."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.http import router
from functions.http.auth import require_admin
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain import timestamps
from gateway.domain.job import JobStatus
from gateway.domain.job_counts import JobStatistics

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.wiring.api import Handler


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])
    job_counts = wiring.job_counts
    kept = timedelta(days=wiring.settings.retention_days)

    @app.get("/stats")
    def get_stats() -> Response[str]:
        require_admin(app, "read the statistics")
        since = (timestamps.now() - kept).date()
        statistics = JobStatistics.of(job_counts.since(since).values())
        return router.json_response(HTTPStatus.OK, _view(statistics, datetime.combine(since, time.min, UTC)))

    router.refuse_other_methods(app, {"/stats": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _view(statistics: JobStatistics, since: datetime) -> responses.StatsJson:
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
        "since": timestamps.to_text(since),
    }


handler = entry_point(make_handler, ApiWiring)
