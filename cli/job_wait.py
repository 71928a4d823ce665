"""Waits for the end of a job, and shows its progress."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from cli.exit_codes import CommandFailedError, ExitCode
from cli.http_client import RefusedError
from cli.job_progress import progress_display

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.api import GatewayApi
    from cli.job_progress import ProgressDisplay
    from functions.rendering.job_json import JobJson

Response = TypeVar("Response")

ENDED = ("succeeded", "failed", "canceled")
# An executor reports progress every 1.5 s. Two requests per poll are 60 a minute, of the 100 that a key usually has.
_POLL_SECONDS = 2
_LONG_JOB_SECONDS = 120
_LONG_POLL_SECONDS = 10
_MAX_OUTAGE_SECONDS = 60  # of the gateway, as when it restarts


def wait_for_end(api: GatewayApi, job_id: str, *, resume_command: str, eta_seconds: int | None = None) -> JobJson:
    """Wait for the end of a job. Raises CommandFailedError, with the command to resume if the gateway stays away."""
    try:
        with progress_display(eta_seconds) as display:
            return _poll(api, job_id, display)
    except CommandFailedError as error:
        if error.code is not ExitCode.UNREACHABLE:
            raise
        advice = f"{error.advice} Then continue to wait for job {job_id}: {resume_command}".strip()
        raise CommandFailedError(error.message, error.code, advice=advice) from None


def raise_if_failed(job: JobJson) -> None:
    """Raise CommandFailedError for a job that did not succeed."""
    if job["status"] == "succeeded":
        return
    message, advice = f"Job {job['jobId']} was canceled", ""
    if error := job["error"]:
        message = f"Job {job['jobId']} failed: {error['code']}: {error['message']}"
        advice = error.get("recommendation") or ""
    raise CommandFailedError(message, ExitCode.JOB_FAILED, advice=advice)


def _poll(api: GatewayApi, job_id: str, display: ProgressDisplay) -> JobJson:
    started_at = time.monotonic()
    wait_seconds = 0
    while True:
        job = _retried(partial(api.job, job_id, wait_seconds=wait_seconds), display)
        display.show(job, _retried(partial(api.log, job_id), display)["logs"])
        if job["status"] in ENDED:
            return job
        is_long = time.monotonic() - started_at > _LONG_JOB_SECONDS
        wait_seconds = _LONG_POLL_SECONDS if is_long else _POLL_SECONDS


def _retried(send: Callable[[], Response], display: ProgressDisplay) -> Response:
    """Send a request again while it is rate limited or the gateway is down, for a while. Raises CommandFailedError."""
    deadline = time.monotonic() + _MAX_OUTAGE_SECONDS
    reported = False
    while True:
        try:
            return send()
        except RefusedError as error:
            if error.code is not ExitCode.TRY_LATER or time.monotonic() > deadline:
                raise
            time.sleep(min(error.retry_seconds or _POLL_SECONDS, _MAX_OUTAGE_SECONDS))
        except CommandFailedError as error:
            if error.code is not ExitCode.UNREACHABLE or time.monotonic() > deadline:
                raise
            if not reported:
                display.note(f"The gateway does not respond. Retrying for up to {_MAX_OUTAGE_SECONDS} s.")
                reported = True
            time.sleep(_POLL_SECONDS)
