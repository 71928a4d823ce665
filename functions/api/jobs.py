"""`/jobs`: submit, get, list and cancel jobs, and read their logs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from functions.api import deliveries
from functions.api.job_query import parse_list_query, parse_wait_seconds
from functions.api.job_submission import parse_submission
from functions.api.routes import ROUTES
from functions.http import pagination
from functions.http.responses import json_response, to_json
from functions.use_cases.cancel_job import cancel_job
from functions.use_cases.job_log import read_job_log
from functions.use_cases.list_jobs import list_jobs
from functions.use_cases.wait_for_job import wait_for_job
from functions.wiring.api import entry_point
from functions.wiring.workflows import WorkflowWiring
from gateway.domain.page_position import PagePosition
from gateway.limits import MAX_LIST_BYTES

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import Response

    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from functions.rendering.job_json import JobJson
    from functions.rendering.job_view import JobView
    from gateway.ports import JobPage


def operations(wiring: WorkflowWiring) -> Operations:
    """Make the handlers."""
    submitter, view = wiring.submitter, wiring.job_view

    def handle_create_job(request: Request) -> Response[str]:
        submitted = submitter.submit(parse_submission(request))
        job = submitted.job
        if job.cache_hit:
            hit: responses.JobFromCacheJson = {
                "jobId": job.id,
                "status": "cache_hit",
                "outputs": view.outputs(job),
                "pollUrl": f"/jobs/{job.id}",
            }
            return json_response(HTTPStatus.OK, hit)
        accepted: responses.JobAcceptedJson = {
            "jobId": job.id,
            "status": job.status,
            "etaSeconds": submitted.eta_seconds,
            "pollUrl": f"/jobs/{job.id}",
        }
        return json_response(HTTPStatus.ACCEPTED, accepted)

    def handle_list_jobs(request: Request) -> Response[str]:
        query = parse_list_query(request.query)
        page = list_jobs(wiring.job_list, request.caller, query.which, limit=query.limit, position=query.position)
        jobs, next_page_position = _fit_response(page, view)
        body: responses.JobListJson = {
            "jobs": jobs,
            "count": len(jobs),
            "nextCursor": pagination.to_cursor(next_page_position) if next_page_position else None,
        }
        return json_response(HTTPStatus.OK, body)

    def handle_get_job(request: Request, job_id: str) -> Response[str]:
        seconds = parse_wait_seconds(request.query.get("wait"))
        job = wait_for_job(wiring.jobs, wiring.clock, request.caller, job_id, seconds=seconds)
        return json_response(HTTPStatus.OK, view.job(job))

    def handle_get_job_log(request: Request, job_id: str) -> Response[str]:
        lines = read_job_log(wiring.jobs, request.caller, job_id)
        body: responses.JobLogJson = {"jobId": job_id, "logs": view.log_lines(lines)}
        return json_response(HTTPStatus.OK, body)

    def handle_cancel_job(request: Request, job_id: str) -> Response[str]:
        job = cancel_job(wiring.jobs, wiring.bus, wiring.clock, request.caller, job_id)
        body: responses.CancelAnswerJson = {
            "jobId": job.id,
            "status": job.status,
            "message": "Cancellation requested",
        }
        return json_response(HTTPStatus.OK, body)

    return {
        "createJob": handle_create_job,
        "listJobs": handle_list_jobs,
        "getJob": handle_get_job,
        "getJobLog": handle_get_job_log,
        "cancelJob": handle_cancel_job,
        **deliveries.operations(wiring),
    }


def _fit_response(page: JobPage, view: JobView) -> tuple[list[JobJson], PagePosition | None]:
    """Render a page; cut it where it would be too large for a response: jobs with hundreds of outputs are large."""
    shown: list[JobJson] = []
    size_bytes = 0
    for previous, job in zip((None, *page.jobs), page.jobs, strict=False):
        rendered = view.job(job)
        size_bytes += len(to_json(rendered).encode())
        if previous is not None and size_bytes > MAX_LIST_BYTES:
            return shown, PagePosition(previous.created_at, previous.id)
        shown.append(rendered)
    return shown, page.next_page_position


handler = entry_point("jobs", ROUTES, operations, WorkflowWiring)
