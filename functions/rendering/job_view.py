"""Renders jobs and outputs as JSON, with freshly signed download URLs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.domain import timestamps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from functions.rendering.job_json import JobErrorJson, JobJson, LogLineJson, OutputJson, WebhookStateJson
    from gateway.domain.job import Job, LogLine, Output
    from gateway.ports import Clock, DownloadUrls


class JobView:
    """Renders jobs and outputs. `url_seconds`: validity of download URLs."""

    def __init__(self, urls: DownloadUrls, clock: Clock, url_seconds: int) -> None:
        self._urls = urls
        self._clock = clock
        self._url_seconds = url_seconds

    def job(self, job: Job) -> JobJson:
        """Render a job."""
        view: JobJson = {
            "jobId": job.id,
            "status": job.status,
            "workflowId": job.workflow_id,
            "priority": job.priority,
            "progress": job.progress,
            "outputs": None if job.outputs is None else self.outputs(job),
            "error": _error(job),
            "cacheHit": job.cache_hit,
            "attempts": job.attempt,
            "timing": {
                "createdAt": timestamps.to_text(job.created_at),
                "startedAt": _text(job.started_at),
                "completedAt": _text(job.completed_at),
                "executionTimeMs": job.execution_ms,
            },
            "webhook": self._webhook(job),
            "metadata": job.metadata,
        }
        if job.seed is not None:
            view["seed"] = job.seed
        return view

    def log_lines(self, lines: Sequence[LogLine]) -> list[LogLineJson]:
        """Render the lines of a job's log."""
        return [_line(line) for line in lines]

    def outputs(self, job: Job) -> list[OutputJson]:
        """Render the outputs of a job; none before it has succeeded."""
        return [self._output(job.id, output) for output in job.outputs or ()]

    def _output(self, job_id: str, output: Output) -> OutputJson:
        return {
            "filename": output.filename,
            "url": f"/outputs/{job_id}/{quote(output.filename, safe='')}",
            "downloadUrl": self.download_url(output),
            "downloadUrlExpiresAt": timestamps.to_text(self._clock.now() + timedelta(seconds=self._url_seconds)),
            "storagePath": output.key,
            "size": output.size,
            "sha256": output.sha256,
            "contentType": output.content_type,
        }

    def _webhook(self, job: Job) -> WebhookStateJson | None:
        if job.callback_url is None:
            return None
        delivery = job.delivery.visible_at(self._clock.now())
        return {
            "status": delivery.status,
            "attempts": delivery.attempt_count,
            "lastStatusCode": delivery.last_status_code,
        }

    def download_url(self, output: Output) -> str:
        """Return a URL that reads an output without a key."""
        return self._urls.presigned_url(output.key, seconds=self._url_seconds)


def _error(job: Job) -> JobErrorJson | None:
    error = job.error
    if error is None:
        return None
    view: JobErrorJson = {"code": error.code, "message": error.message, "retryable": error.retryable}
    if error.recommendation:
        view["recommendation"] = error.recommendation
    return view


def _line(line: LogLine) -> LogLineJson:
    view: LogLineJson = {"timestamp": timestamps.to_text(line.at), "level": line.level, "message": line.message}
    if line.node:
        view["node"] = line.node
    return view


def _text(at: datetime | None) -> str | None:
    return None if at is None else timestamps.to_text(at)
