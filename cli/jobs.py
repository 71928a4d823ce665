"""`comfyui-gateway jobs`: list, show, wait for, cancel and download jobs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from cli import completion, times
from cli.command_app import CommandApp
from cli.gateway_session import with_gateway
from cli.job_result import OpenOption, OverwriteOption, ResultOptions, finish
from cli.submit import submit
from gateway.domain import timestamps
from gateway.domain.job import JobStatus

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession
    from functions.rendering.job_json import JobJson, LogLineJson

app = CommandApp(help="Submit, list, show, wait for, cancel and download jobs.")

_MAX_PAGES = 500  # some are empty if few jobs match the filter
_FOLLOW_SECONDS = 2
JobId = Annotated[
    str,
    typer.Argument(
        metavar="JOB", help="Id of the job, or its first 4 or more characters.", autocompletion=completion.job_ids
    ),
]


@app.command("list")
@with_gateway
def list_jobs(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs with this status.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="Only jobs of this workflow.", autocompletion=completion.workflow_ids)
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="TIME", help="Only jobs accepted at this time or later.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only jobs accepted before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of jobs.")] = 20,
) -> None:
    """List jobs, newest first.

    Show your own jobs; an admin sees all. TIME is an age (30m, 1h, 2d), a date (2026-01-31), or a date with time
    (2026-01-31T12:00:00Z). Without a time zone it is local time.

    Examples:
      comfyui-gateway jobs list --status failed --after 1h
      comfyui-gateway jobs list --limit 1000 --json | jq -r '.jobs[].jobId'

    """
    query = _list_query(status=status, workflow=workflow, after=after, before=before)
    found: list[JobJson] = []
    more = True
    for page in islice(session.api.job_pages(query, limit=limit), _MAX_PAGES):
        found += page["jobs"]
        more = page["nextCursor"] is not None
        if len(found) >= limit:
            break
    if more and len(found) < limit:
        session.printer.note("There may be more jobs. Narrow the period with --after and --before.")
    found = found[:limit]
    if session.printer.as_json:
        session.printer.json({"jobs": found, "count": len(found)})
        return
    rows = [
        (
            session.printer.short_id(job["jobId"]),
            _status(job),
            job["workflowId"],
            session.printer.age(job["timing"]["createdAt"]),
            _run_time(job),
        )
        for job in found
    ]
    columns = ("JOB", "STATUS", "WORKFLOW", "ACCEPTED", "RAN FOR")
    session.printer.table(columns, rows, unbroken=("JOB", "STATUS", "ACCEPTED", "RAN FOR"))
    if not found:
        session.printer.note("No jobs.")


def _list_query(
    *, status: JobStatus | None, workflow: str | None, after: str | None, before: str | None
) -> dict[str, str | int]:
    """Return the query of `GET /jobs` for the filters that were given."""
    now = datetime.now(UTC)
    filters = {
        "status": status,
        "workflowId": workflow,
        "after": after and timestamps.to_text(times.past_time("--after", after, now)),
        "before": before and timestamps.to_text(times.past_time("--before", before, now)),
    }
    return {name: value for name, value in filters.items() if value is not None}


@app.command("show")
@with_gateway
def show_job(session: GatewaySession, job: JobId) -> None:
    """Show a job.

    Examples:
      comfyui-gateway jobs show 3f0c5f8e
      comfyui-gateway jobs show 3f0c5f8e --json | jq .timing

    """
    print_job(session, job)


def print_job(session: GatewaySession, job: str) -> None:
    """Print a job, by its id or the first characters of it."""
    shown = session.api.job(session.job_id(job))
    printer = session.printer
    if printer.as_json:
        printer.json(shown)
        return
    timing, error, webhook = shown["timing"], shown["error"], shown["webhook"]
    printer.fields(
        (
            ("job", shown["jobId"]),
            ("status", _status(shown)),
            ("workflow", shown["workflowId"]),
            ("priority", shown["priority"]),
            ("seed", str(shown.get("seed", ""))),
            ("accepted", printer.local_time(timing["createdAt"])),
            ("started", printer.local_time(timing["startedAt"] or "")),
            ("ended", printer.local_time(timing["completedAt"] or "")),
            ("ran for", _run_time(shown)),
            ("attempts", str(shown["attempts"])),
            ("from cache", "yes" if shown["cacheHit"] else ""),
            ("error", f"{error['code']}: {error['message']}" if error else ""),
            ("advice", (error.get("recommendation") or "") if error else ""),
            ("webhook", f"{webhook['status']}, attempts: {webhook['attempts']}" if webhook else ""),
            *(("output", f"{each['filename']}, {each['size']} bytes") for each in shown["outputs"] or ()),
        )
    )


app.command("submit")(with_gateway(submit))


@app.command("wait")
@with_gateway
def wait_for_job(session: GatewaySession, job: JobId, *, open_outputs: OpenOption = False) -> None:
    """Wait for the end of a job, and print the addresses of its outputs.

    Examples:
      comfyui-gateway jobs wait 3f0c5f8e
      comfyui-gateway jobs wait 3f0c5f8e --open

    """
    finish(session, session.job_id(job), ResultOptions(open_outputs=open_outputs))


@app.command("cancel")
@with_gateway
def cancel_job(session: GatewaySession, job: JobId) -> None:
    """Cancel a job.

    A queued job is canceled at once. A running one is interrupted within two seconds.

    Examples:
      comfyui-gateway jobs cancel 3f0c5f8e

    """
    response = session.api.cancel(session.job_id(job))
    if session.printer.as_json:
        session.printer.json(response)
    elif response["status"] == JobStatus.CANCELED:
        session.printer.note("Canceled.")
    else:
        session.printer.note("The job is running. It will be interrupted.")


@app.command("logs")
@with_gateway
def show_log(
    session: GatewaySession,
    job: JobId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until the job ends.")] = False,
) -> None:
    """Show the log of a job.

    With --json and --follow, each line is a JSON object.

    Examples:
      comfyui-gateway jobs logs 3f0c5f8e --follow

    """
    job_id = session.job_id(job)
    if session.printer.as_json and not follow:
        session.printer.json(session.api.log(job_id))
        return
    shown: list[LogLineJson] = []
    while True:
        ended = follow and JobStatus(session.api.job(job_id)["status"]).ended
        lines = session.api.log(job_id)["logs"]
        for line in lines:
            if line not in shown:
                _print_log_line(session, line)
        shown = [*lines]
        if ended or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


@app.command("download")
@with_gateway
def download_outputs(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    job: JobId,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="Folder to save the outputs in (- for stdout).")
    ] = ".",
    file: Annotated[str | None, typer.Option(metavar="NAME", help="Save only the output with this name.")] = None,
    overwrite: OverwriteOption = False,
    open_outputs: OpenOption = False,
) -> None:
    """Save the outputs of a job. Wait for its end if necessary.

    The hash of each file is verified. File names begin with the job's id.

    Examples:
      comfyui-gateway jobs download 3f0c5f8e -o pictures
      comfyui-gateway jobs download 3f0c5f8e -o - > image.png

    """
    options = ResultOptions(output=output, overwrite=overwrite, open_outputs=open_outputs, only=file)
    options.check(session.printer)
    finish(session, session.job_id(job), options)


def _status(job: JobJson) -> str:
    has_progress = job["status"] == JobStatus.RUNNING and job["progress"] is not None
    return f"{job['status']} {job['progress']}%" if has_progress else job["status"]


def _run_time(job: JobJson) -> str:
    milliseconds = job["timing"]["executionTimeMs"]
    return "" if milliseconds is None else times.duration(milliseconds / 1000)


def _print_log_line(session: GatewaySession, line: LogLineJson) -> None:
    if session.printer.as_json:
        session.printer.json_line(line)
        return
    level = "" if line["level"] == "info" else f"{line['level'].upper()}: "
    first, text = f"{session.printer.clock_time(line['timestamp'])}  ", f"{level}{line['message']}"
    if session.printer.on_terminal:
        session.printer.wrapped(text, first=first, indent=len(first))
    else:
        session.printer.line(f"{first}{text}")
