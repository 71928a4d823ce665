"""`comfyui-gateway submit`."""

from __future__ import annotations

import shlex
import uuid
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  Typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exit_codes import CommandFailedError, ExitCode
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.gateway_session import GatewaySession
    from functions.rendering.job_json import JobJson


def submit(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its id; list-workflows shows them.")],
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input; show-workflow lists them. Repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end, and show how far it is.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Save the files there; waits as well.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same name in DIR.")] = False,
    priority: Annotated[Priority, typer.Option(help="Which queue it waits in.")] = Priority.NORMAL,
    callback_url: Annotated[str | None, typer.Option(help="Where a webhook tells of the end.")] = None,
) -> None:
    """Run a workflow.

    Without --wait it prints the job's id. Inputs are what the workflow's schema says: numbers, texts, true or false.

    Try:

      comfyui-gateway submit icon_512 -i prompt="a red key" -o pictures

      comfyui-gateway submit icon_512 -i prompt="a red key" -i steps=12 -i seed=7 --wait --json
    """
    from cli.download import make_folder  # noqa: PLC0415  `--help` need not wait for it
    from cli.input_values import typed  # noqa: PLC0415  likewise

    if folder is not None:
        make_folder(folder)  # before the job: it would run for nothing
    body: dict[str, Any] = {"workflowId": workflow, "inputs": {}, "priority": priority.value}
    if inputs:
        template = session.api.workflow(workflow)
        body["inputs"], params = typed(inputs, template["inputSchema"], template["defaultParams"])
        body |= {"params": params} if params else {}
    if callback_url is not None:
        body["callbackUrl"] = callback_url
    try:
        job_id = session.api.submit(body, str(uuid.uuid4()))
    except KeyboardInterrupt:
        message = "Stopped before there was an answer. See whether the job was accepted: comfyui-gateway jobs"
        raise CommandFailedError(message, ExitCode.INTERRUPTED) from None
    if wait or folder is not None:
        end(session, job_id, folder, overwrite=overwrite)
    elif session.printer.as_json:
        with _ctrl_c_told(job_id, folder):
            session.printer.data(session.api.job(job_id))
    else:
        session.printer.line(job_id)
        session.printer.note(f"Accepted. See it: comfyui-gateway job {job_id} --wait")


def end(session: GatewaySession, job_id: str, folder: Path | None, *, overwrite: bool) -> None:
    """Wait for a job's end, save its files in a folder, if any, and show it.

    Raises CommandFailedError if it failed, and for Ctrl-C one that says that the job goes on.
    """
    with _ctrl_c_told(job_id, folder):
        session.printer.note(f"Job {job_id}")
        _end(session, job_id, folder, overwrite=overwrite)


def _end(session: GatewaySession, job_id: str, folder: Path | None, *, overwrite: bool) -> None:
    from cli.download import make_folder, save_outputs  # noqa: PLC0415  `--help` need not wait for it
    from cli.job_wait import raise_if_failed, wait_for_end  # noqa: PLC0415  likewise

    if folder is not None:
        make_folder(folder)
    job = wait_for_end(session.api, job_id, _again(job_id, folder))
    saved = save_outputs(session.api, job, folder, overwrite=overwrite) if folder else ()
    if session.printer.as_json:
        session.printer.data({**job, **({"savedTo": [str(path) for path in saved]} if folder else {})})
    else:
        for path in saved:
            session.printer.line(str(path))
        if not folder:
            _show_files(session, job)
    raise_if_failed(job)


@contextmanager
def _ctrl_c_told(job_id: str, folder: Path | None) -> Iterator[None]:
    """Raise CommandFailedError for Ctrl-C: the job that was accepted goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise CommandFailedError(
            f"Stopped waiting; the job goes on, unless it has ended. Wait again: {_again(job_id, folder)}. "
            f"Stop it: comfyui-gateway cancel {job_id}",
            ExitCode.INTERRUPTED,
        ) from None


def _again(job_id: str, folder: Path | None) -> str:
    """Write the command that waits for a job again."""
    return f"comfyui-gateway job {job_id} {f'-o {shlex.quote(str(folder))}' if folder else '--wait'}"


def _show_files(session: GatewaySession, job: JobJson) -> None:
    for output in job["outputs"] or ():
        session.printer.line(output["downloadUrl"])
