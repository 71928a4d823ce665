"""`/jobs`: accept a job, tell how it stands, list, log, cancel."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from functions.api import deliveries, job_query
from functions.api.requests import JobRequest
from functions.http import body, pagination, router
from functions.http.auth import caller_of
from functions.rendering.job_view import JobView
from functions.use_cases.eta import Estimator
from functions.use_cases.job_visibility import visible_job
from functions.use_cases.submit_job import Submission, Submitter
from functions.wiring.api import entry_point
from functions.wiring.workflows import WorkflowWiring
from gateway.domain import timestamps
from gateway.domain.messages import JobEndedEvent
from gateway.domain.page_position import PagePosition
from gateway.errors import Problem, RequestInvalidError
from gateway.limits import MAX_IDEMPOTENCY_KEY_CHARACTERS, MAX_LIST_BYTES, MAX_WAIT_SECONDS

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.rendering.job_json import JobJson
    from functions.wiring.api import Handler
    from gateway.domain.job import Job
    from gateway.ports import JobPage, JobStore

# A waiting request reads the record quickly at first, for short jobs, then once a second. It is late by a fifth of the
# time that the job took at most; a million reads are $0.125, and the first five seconds have 20 of them.
_FIRST_PAUSE_SECONDS = 0.025
_LONGEST_PAUSE_SECONDS = 1.0
_PAUSE_GROWTH = 1.2


def make_handler(wiring: WorkflowWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])
    submitter = Submitter(wiring.callback_check, wiring.preparation, wiring.jobs, wiring.queue, wiring.objects)
    estimator = Estimator(wiring.executors)
    view = JobView(wiring.outputs, wiring.settings.download_url_seconds)

    @app.post("/jobs")
    def create_job() -> Response[str]:
        request = body.read(app.current_event, JobRequest)
        eta_seconds = estimator.eta_seconds()  # before the job is accepted: a failure after that would be a lie
        job = submitter.submit(_submission(app, request))
        router.logger.info("job accepted", action="job_accepted", job_id=job.id, workflow_id=job.workflow_id)
        if job.cache_hit:
            # Should this fail, the same request finds the record again, and its event is only late by that.
            wiring.bus.publish(JobEndedEvent.of(job))
            hit: responses.JobFromCacheJson = {
                "jobId": job.id,
                "status": "cache_hit",
                "outputs": view.outputs(job),
                "pollUrl": f"/jobs/{job.id}",
            }
            return router.json_response(HTTPStatus.OK, hit)
        accepted: responses.JobAcceptedJson = {
            "jobId": job.id,
            "status": job.status,
            "etaSeconds": eta_seconds,
            "pollUrl": f"/jobs/{job.id}",
        }
        return router.json_response(HTTPStatus.ACCEPTED, accepted)

    @app.get("/jobs")
    def list_jobs() -> Response[str]:
        query = job_query.read(app.current_event.query_string_parameters or {}, caller_of(app))
        page = wiring.job_list.page(query.which, limit=query.limit, position=query.position)
        jobs, next_page_position = _fitting(page, view)
        answer: responses.JobListJson = {
            "jobs": jobs,
            "count": len(jobs),
            "nextCursor": pagination.to_cursor(next_page_position) if next_page_position else None,
        }
        return router.json_response(HTTPStatus.OK, answer)

    @app.get("/jobs/<job_id>")
    def get_job(job_id: str) -> Response[str]:
        wait = _wait_seconds(app.current_event.get_query_string_value("wait"))
        job = visible_job(app, wiring.jobs, job_id)
        return router.json_response(HTTPStatus.OK, view.job(_ended(wiring.jobs, job, wait) if wait else job))

    @app.get("/jobs/<job_id>/logs")
    def get_logs(job_id: str) -> Response[str]:
        job = visible_job(app, wiring.jobs, job_id)
        answer: responses.JobLogJson = {"jobId": job.id, "logs": view.log(job)}
        return router.json_response(HTTPStatus.OK, answer)

    @app.post("/jobs/<job_id>/cancel")
    def cancel_job(job_id: str) -> Response[str]:
        visible_job(app, wiring.jobs, job_id)
        job = wiring.jobs.cancel(job_id, now=timestamps.now())
        if job.status.ended:
            # Its message finds it ended and would announce it as well; but that can be a long queue away.
            wiring.bus.publish(JobEndedEvent.of(job))
        router.logger.info("cancel requested", action="cancel_requested", job_id=job.id, status=job.status)
        answer: responses.CancelAnswerJson = {
            "jobId": job.id,
            "status": job.status,
            "message": "Cancellation requested",
        }
        return router.json_response(HTTPStatus.OK, answer)

    deliveries.add_routes(app, wiring)
    router.refuse_other_methods(
        app,
        {
            "/jobs": ("GET", "POST"),
            "/jobs/<job_id>": ("GET",),
            "/jobs/<job_id>/logs": ("GET",),
            "/jobs/<job_id>/cancel": ("POST",),
            "/jobs/<job_id>/deliveries": ("GET", "POST"),
        },
    )

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _fitting(page: JobPage, view: JobView) -> tuple[list[JobJson], PagePosition | None]:
    """Cut a page where it would no longer fit into an answer: jobs with hundreds of outputs are large."""
    shown: list[JobJson] = []
    size = 0
    for before, job in zip((None, *page.jobs), page.jobs, strict=False):
        viewed = view.job(job)
        size += len(router.to_json(viewed).encode())
        if before is not None and size > MAX_LIST_BYTES:
            return shown, PagePosition(before.created_at, before.id)
        shown.append(viewed)
    return shown, page.next_page_position


def _submission(app: APIGatewayRestResolver, request: JobRequest) -> Submission:
    metadata = request.metadata or {}
    return Submission(
        owner=caller_of(app).owner,
        workflow_id=request.workflow_id,
        inputs=request.inputs,
        params=request.params or {},
        priority=request.priority,
        metadata=metadata,
        idempotency_key=_idempotency_key(app.current_event.headers.get("Idempotency-Key"), metadata),
        correlation_id=router.correlation_id_of(app),
        callback_url=request.callback_url,
    )


def _idempotency_key(header: str | None, metadata: dict[str, Any]) -> str | None:
    where, key = ("Idempotency-Key", header) if header else ("metadata.requestId", metadata.get("requestId"))
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARACTERS:
        raise RequestInvalidError(
            [Problem(where, f"Must be text of 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} characters.")]
        )
    return key


def _wait_seconds(text: str | None) -> float:
    if text is None:
        return 0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise RequestInvalidError([Problem("wait", f"Must be a number of seconds from 0 to {MAX_WAIT_SECONDS}.")])
    return seconds


def _ended(jobs: JobStore, job: Job, wait_seconds: float) -> Job:
    """Read the job again until it has ended or the time is up."""
    deadline = time.monotonic() + wait_seconds
    pause = _FIRST_PAUSE_SECONDS
    while not job.status.ended and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE_SECONDS)
        job = jobs.get(job.id) or job
    return job


handler = entry_point(make_handler, WorkflowWiring)
