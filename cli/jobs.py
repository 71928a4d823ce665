"""`comfyui-gateway jobs`, `job`, `logs`, `cancel` and `deliveries`."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003  Typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from cli import submit
from cli.exit_codes import CommandFailedError, ExitCode
from gateway.domain import timestamps
from gateway.domain.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.gateway_session import GatewaySession
    from functions.rendering.job_json import JobJson, LogLineJson

_PAGE = 200  # the most that a gateway lists at once
_MOST_PAGES = 500  # some are empty when few jobs pass the filter
_FOLLOW_SECONDS = 2
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]


def jobs(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    *,
    status: Annotated[JobStatus | None, typer.Option(help="Only those.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    after: Annotated[str | None, typer.Option(metavar="TIME", help="Accepted then or later.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Accepted before then.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to show.")] = 20,
) -> None:
    """List jobs, newest first: your own, or everybody's for an admin.

    TIME is like 2026-01-31T12:00:00Z. Where there is no terminal, each line is id, status, workflow and time, with tabs
    between.

    Try:

      comfyui-gateway jobs --status failed

      comfyui-gateway jobs --limit 1000 --json | jq -r '.jobs[].jobId'
    """
    query: dict[str, str | int] = {
        name: value
        for name, value in (
            ("status", status),
            ("workflowId", workflow),
            ("after", after),
            ("before", before),
        )
        if value is not None
    }
    _check_moments({"--after": after, "--before": before})
    found: list[JobJson] = []
    for _ in range(_MOST_PAGES):
        page = session.api.jobs({**query, "limit": min(limit - len(found), _PAGE)})
        found += page["jobs"]
        if page["nextCursor"] is None or len(found) >= limit:
            break
        query["cursor"] = page["nextCursor"]
    else:
        session.printer.note("There may be more; name a shorter time with --after and --before.")
    found = found[:limit]
    if session.printer.as_json:
        session.printer.data({"jobs": found, "count": len(found)})
        return
    rows = [
        (job["jobId"], _standing(job), job["workflowId"], session.printer.moment(job["timing"]["createdAt"]))
        for job in found
    ]
    session.printer.table(("JOB", "STATUS", "WORKFLOW", "ACCEPTED"), rows, whole=("JOB", "STATUS"))
    if not found:
        session.printer.note("No jobs.")


def job(
    session: GatewaySession,
    job_id: JobId,
    *,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end, and show how far it is.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Save its files there; waits as well.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same name in DIR.")] = False,
) -> None:
    """Show a job, or wait for it and save its files.

    Try:

      comfyui-gateway job 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11

      comfyui-gateway job 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11 -o pictures
    """
    if wait or folder:
        submit.end(session, job_id, folder, overwrite=overwrite)
        return
    shown = session.api.job(job_id)
    if session.printer.as_json:
        session.printer.data(shown)
        return
    timing, error, webhook = shown["timing"], shown["error"], shown["webhook"]
    session.printer.fields(
        (
            ("job", shown["jobId"]),
            ("status", _standing(shown)),
            ("workflow", shown["workflowId"]),
            ("priority", shown["priority"]),
            ("seed", str(shown.get("seed", ""))),
            ("accepted", timing["createdAt"]),
            ("started", timing["startedAt"] or ""),
            ("ended", timing["completedAt"] or ""),
            ("ran for", _seconds(timing["executionTimeMs"])),
            ("attempts", str(shown["attempts"])),
            ("from cache", "yes" if shown["cacheHit"] else ""),
            ("error", f"{error['code']}: {error['message']}" if error else ""),
            ("what to do", (error.get("recommendation") or "") if error else ""),
            ("webhook", f"{webhook['status']}, tries: {webhook['attempts']}" if webhook else ""),
            *(("file", f"{each['filename']}, {each['size']} bytes") for each in shown["outputs"] or ()),
        )
    )


def logs(
    session: GatewaySession,
    job_id: JobId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
) -> None:
    """Show what happened to a job, step by step.

    With --json and --follow each line is a JSON object of its own.

    Try:

      comfyui-gateway logs -f 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11
    """
    if session.printer.as_json and not follow:
        session.printer.data(session.api.log(job_id))
        return
    shown: list[LogLineJson] = []
    while True:
        ended = follow and session.api.job(job_id)["status"] in tuple(s for s in JobStatus if s.ended)
        lines = session.api.log(job_id)["logs"]
        for line in lines:
            if line not in shown:
                _show_line(session, line)
        shown = [*lines]
        if ended or not follow:
            return
        time.sleep(_FOLLOW_SECONDS)


def cancel(session: GatewaySession, job_id: JobId) -> None:
    """End a job: a queued one at once, a running one within two seconds.

    Try:

      comfyui-gateway cancel 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11
    """
    answer = session.api.cancel(job_id)
    if session.printer.as_json:
        session.printer.data(answer)
    elif answer["status"] == JobStatus.CANCELED:
        session.printer.note("Canceled.")
    else:
        session.printer.note("It runs; it will be interrupted.")


def deliveries(
    session: GatewaySession,
    job_id: JobId,
    *,
    resend: Annotated[bool, typer.Option("--resend", help="Send the webhook once more.")] = False,
) -> None:
    """Show what became of a job's webhook, or send it again.

    Try:

      comfyui-gateway deliveries 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11

      comfyui-gateway deliveries 3f0c5f8e-6a57-4b0e-9d5c-0c6a1f7d2b11 --resend
    """
    if resend:
        requested = session.api.deliver_again(job_id)
        if session.printer.as_json:
            session.printer.data(requested)
        else:
            session.printer.note(f"It will be sent again, as {requested['webhookId']}.")
        return
    answer = session.api.deliveries(job_id)
    if session.printer.as_json:
        session.printer.data(answer)
        return
    rows = [
        (
            str(attempt["attempt"]),
            session.printer.moment(attempt["timestamp"]),
            str(attempt["statusCode"] or "-"),
            attempt["error"] or "delivered",
            session.printer.moment(attempt["nextAttemptAt"]) if attempt["nextAttemptAt"] else "-",
        )
        for attempt in answer["deliveries"]
    ]
    session.printer.table(("TRY", "WHEN", "ANSWER", "RESULT", "NEXT"), rows, whole=("TRY", "WHEN", "ANSWER", "NEXT"))
    if not rows:
        session.printer.note("No tries so far: the job has no callbackUrl, or has not ended.")


def _check_moments(given: Mapping[str, str | None]) -> None:
    """Raise CommandFailedError for an option that is no time."""
    for option, text in given.items():
        try:
            if text is not None:
                timestamps.from_text(text)
        except (ValueError, OverflowError):
            message = f"{option}: must be like 2026-01-31T12:00:00Z, with a time zone"
            raise CommandFailedError(message, ExitCode.USAGE) from None


def _standing(job: JobJson) -> str:
    running = job["status"] == JobStatus.RUNNING and job["progress"] is not None
    return f"{job['status']} {job['progress']}%" if running else job["status"]


def _show_line(session: GatewaySession, line: LogLineJson) -> None:
    if session.printer.as_json:
        session.printer.record(line)
        return
    level = "" if line["level"] == "info" else f"{line['level'].upper()}: "
    session.printer.line(f"{session.printer.moment(line['timestamp'])}  {level}{line['message']}")


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f} s"
