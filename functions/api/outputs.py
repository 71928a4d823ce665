"""`/outputs`: a job's files, as metadata, bytes, base64 or a redirect to where they lie."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response

from functions.http import router
from functions.rendering.job_view import JobView
from functions.use_cases.job_visibility import visible_job
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain.file_names import disposition
from gateway.errors import OutputNotFoundError, PayloadTooLargeError, Problem, RequestInvalidError
from gateway.limits import MAX_DIRECT_DOWNLOAD_BYTES

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.api import responses
    from functions.wiring.api import Handler
    from gateway.domain.job import Job, Output
    from gateway.ports import ObjectStore


def make_handler(wiring: ApiWiring) -> Handler:
    """Put the function together."""
    app = router.make_app([*wiring.middlewares, wiring.authenticator.signed_in_only])
    objects = wiring.outputs
    view = JobView(objects, wiring.settings.download_url_seconds)

    @app.get("/outputs/<job_id>")
    def list_outputs(job_id: str) -> Response[str]:
        job = visible_job(app, wiring.jobs, job_id)
        answer: responses.OutputListJson = {"jobId": job.id, "files": view.outputs(job)}
        return router.json_response(HTTPStatus.OK, answer)

    # Everything behind the job id is a file's name, slashes included: it is only ever compared, never used as a path.
    @app.get("/outputs/<job_id>/.+")
    def get_output(job_id: str) -> Response[Any]:
        job = visible_job(app, wiring.jobs, job_id)
        output = _named_output(job, app.current_event.path.split("/", 3)[3])
        fits = output.size <= MAX_DIRECT_DOWNLOAD_BYTES
        match app.current_event.get_query_string_value("format"):
            case None if fits and _is_known(output, app.current_event.headers.get("If-None-Match")):
                return Response(HTTPStatus.NOT_MODIFIED, headers={"ETag": _entity_tag(output)})
            case None if fits:
                return _bytes_answer(output, _stored_bytes(objects, job, output))
            case None:
                return Response(HTTPStatus.FOUND, headers={"Location": view.download_url(output)})
            case "base64" if fits:
                return _base64_answer(output, _stored_bytes(objects, job, output))
            case "base64":
                raise PayloadTooLargeError(
                    f"{output.size} bytes do not fit into an answer as base64 (at most {MAX_DIRECT_DOWNLOAD_BYTES}). "
                    f"Get /outputs/{job.id} and use the file's downloadUrl."
                )
            case _:
                raise RequestInvalidError([Problem("format", "Only base64 is known; leave it out for the bytes.")])

    router.refuse_other_methods(app, {"/outputs/<job_id>": ("GET",), "/outputs/<job_id>/.+": ("GET",)})

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return router.serve(app, event, context)

    return handler


def _named_output(job: Job, name: str) -> Output:
    # API Gateway hands the path on as the client wrote it, escapes included; who decodes on the way is served as well.
    output = job.output(unquote(name)) or job.output(name)
    if output is None:
        raise OutputNotFoundError(job.id)
    return output


def _entity_tag(output: Output) -> str:
    return f'"{output.sha256}"'


def _is_known(output: Output, if_none_match: str | None) -> bool:
    """Tell whether the caller has the file already. https://www.rfc-editor.org/rfc/rfc9110#field.if-none-match."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return _entity_tag(output) in tags or "*" in tags


def _stored_bytes(objects: ObjectStore, job: Job, output: Output) -> bytes:
    try:
        return objects.get(output.key)
    except KeyError:
        raise OutputNotFoundError(job.id) from None


def _bytes_answer(output: Output, content: bytes) -> Response[bytes]:
    return Response(
        HTTPStatus.OK,
        content_type=output.content_type,
        body=content,
        headers={
            "Content-Disposition": disposition(output.filename, output.content_type),
            "ETag": _entity_tag(output),
            # A file is a tenant's: it is not to run as a page of the API's origin.
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _base64_answer(output: Output, content: bytes) -> Response[str]:
    answer: responses.OutputContentJson = {
        "filename": output.filename,
        "contentType": output.content_type,
        "size": output.size,
        "data": base64.b64encode(content).decode("ascii"),
    }
    return router.json_response(HTTPStatus.OK, answer)


handler = entry_point(make_handler, ApiWiring)
