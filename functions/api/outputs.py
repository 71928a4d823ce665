"""`/outputs`: a job's output files, as metadata, bytes, base64 or a redirect to S3."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response

from functions.api.routes import ROUTES
from functions.http.responses import json_response
from functions.use_cases.get_job import get_job
from functions.use_cases.outputs import find_output, read_output
from functions.wiring.api import ApiWiring, entry_point
from gateway.domain.file_names import disposition
from gateway.errors import PayloadTooLargeError, Problem, RequestInvalidError
from gateway.limits import MAX_DIRECT_DOWNLOAD_BYTES

if TYPE_CHECKING:
    from functions.api import responses
    from functions.http.request import Request
    from functions.http.router import Operations
    from gateway.domain.job import Output


# A caller may store its file, but has to ask with the entity tag before it uses it again.
_REVALIDATED = {"Cache-Control": "private, no-cache"}


def operations(wiring: ApiWiring) -> Operations:
    """Make the handlers."""
    objects, view = wiring.outputs, wiring.job_view

    def handle_list_outputs(request: Request, job_id: str) -> Response[str]:
        job = get_job(wiring.jobs, request.caller, job_id)
        body: responses.OutputListJson = {"jobId": job.id, "files": view.outputs(job)}
        return json_response(HTTPStatus.OK, body)

    def handle_get_output(request: Request, job_id: str, filename: str) -> Response[Any]:
        # API Gateway passes the path as the client wrote it, escapes included. Proxies on the way may have decoded it.
        output = find_output(wiring.jobs, request.caller, job_id, unquote(filename), filename)
        fits = output.size <= MAX_DIRECT_DOWNLOAD_BYTES
        match request.query.get("format"):
            case None if fits and _matches(output, request.header("If-None-Match")):
                return Response(HTTPStatus.NOT_MODIFIED, headers={"ETag": _entity_tag(output), **_REVALIDATED})
            case None if fits:
                return _bytes_response(output, read_output(objects, job_id, output))
            case None:
                return Response(HTTPStatus.FOUND, headers={"Location": view.download_url(output)})
            case "base64" if fits:
                return _base64_response(output, read_output(objects, job_id, output))
            case "base64":
                raise PayloadTooLargeError(
                    f"{output.size} bytes do not fit into a response as base64 (at most {MAX_DIRECT_DOWNLOAD_BYTES}). "
                    f"Get /outputs/{job_id} and use the file's downloadUrl."
                )
            case _:
                raise RequestInvalidError([Problem("format", "Must be base64; leave it out for the bytes.")])

    return {"listOutputs": handle_list_outputs, "getOutput": handle_get_output}


def _entity_tag(output: Output) -> str:
    return f'"{output.sha256}"'


def _matches(output: Output, if_none_match: str | None) -> bool:
    """Return whether the caller has the file already. https://www.rfc-editor.org/rfc/rfc9110#field.if-none-match."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return _entity_tag(output) in tags or "*" in tags


def _bytes_response(output: Output, content: bytes) -> Response[bytes]:
    return Response(
        HTTPStatus.OK,
        content_type=output.content_type,
        body=content,
        headers={
            "Content-Disposition": disposition(output.filename, output.content_type),
            "ETag": _entity_tag(output),
            **_REVALIDATED,
            # The file is a tenant's content: it must not run as a page of the API's origin.
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _base64_response(output: Output, content: bytes) -> Response[str]:
    body: responses.OutputContentJson = {
        "filename": output.filename,
        "contentType": output.content_type,
        "size": output.size,
        "data": base64.b64encode(content).decode("ascii"),
    }
    return json_response(HTTPStatus.OK, body)


handler = entry_point("outputs", ROUTES, operations, ApiWiring)
