"""`comfyui-gateway submit`, also known as `jobs submit`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import completion
from cli.exit_codes import CommandFailedError, ExitCode
from cli.job_result import OpenOption, OverwriteOption, ResultOptions, finish, report_ctrl_c
from gateway.domain.job import Priority

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession


def submit(  # noqa: PLR0913  a command's options
    session: GatewaySession,
    workflow: Annotated[
        str, typer.Argument(metavar="WORKFLOW", help="Id of the workflow.", autocompletion=completion.workflow_ids)
    ],
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input of the workflow. Repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end, and show the progress.")] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Wait, and save the outputs in DIR (- for stdout)."),
    ] = None,
    overwrite: OverwriteOption = False,
    open_outputs: OpenOption = False,
    priority: Annotated[Priority, typer.Option(help="Queue of the job.")] = Priority.NORMAL,
    callback_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Receiver of a webhook when the job ends.")
    ] = None,
) -> None:
    """Submit a job.

    Print its id. With --wait, show its progress and print the addresses of its outputs. The workflow's schema defines
    the type of each input: see `comfyui-gateway workflows show WORKFLOW`.

    Examples:
      comfyui-gateway submit icon_512 -i prompt="a red key" -o pictures
      comfyui-gateway submit icon_512 -i prompt="a red key" -o - > key.png
      comfyui-gateway submit icon_512 -i prompt="a red key" -i seed=7 --wait --json

    """
    options = ResultOptions(output=output, overwrite=overwrite, open_outputs=open_outputs)
    options.check(session.printer)  # before the job is submitted, which would run for nothing
    body: dict[str, Any] = {"workflowId": workflow, "inputs": {}, "priority": priority.value}
    if inputs:
        from cli.input_values import typed_inputs  # noqa: PLC0415  `--help` does without it

        template = session.api.workflow(workflow)
        body["inputs"], params = typed_inputs(inputs, template["inputSchema"], template["defaultParams"])
        body |= {"params": params} if params else {}
    if callback_url is not None:
        body["callbackUrl"] = callback_url
    try:
        job = session.api.submit(body, str(uuid.uuid4()))
    except KeyboardInterrupt:
        raise CommandFailedError(
            "Stopped before the gateway responded",
            ExitCode.INTERRUPTED,
            advice="Check whether it accepted the job: comfyui-gateway jobs list",
        ) from None
    if wait or options.need_end:
        finish(session, job.job_id, options, eta_seconds=job.eta_seconds)
    elif session.printer.as_json:
        with report_ctrl_c(job.job_id, options):
            session.printer.json(session.api.job(job.job_id))
    else:
        session.printer.line(job.job_id)
        session.printer.note(f"Accepted. Wait for it: comfyui-gateway jobs wait {session.printer.short_id(job.job_id)}")
