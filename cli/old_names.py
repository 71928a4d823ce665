"""Names that commands had before: they work for one version, and print the new name on stderr.

`add-workflow` and `list-workflows` are documented names that stay; nothing is printed for them.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from cli import jobs, webhooks, workflows
from cli.add_workflow import add_workflow
from cli.gateway_session import with_gateway
from cli.job_result import OverwriteOption, ResultOptions, finish
from cli.jobs import JobId  # noqa: TC001  Typer reads it
from cli.printer import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer._click import Context

    from cli.gateway_session import GatewaySession


def add_old_names(app: typer.Typer) -> None:
    """Register the commands by their old names, hidden from help."""
    app.command("list-workflows", hidden=True)(workflows.list_workflows)
    app.command("add-workflow", hidden=True)(with_gateway(add_workflow))
    app.command("job", hidden=True)(with_gateway(_job))
    app.command("deliveries", hidden=True)(with_gateway(_deliveries))
    for old, new, command in (
        ("show-workflow", "workflows show", workflows.show_workflow),
        ("remove-workflow", "workflows remove", workflows.remove_workflow),
        ("logs", "jobs logs", jobs.show_log),
        ("cancel", "jobs cancel", jobs.cancel_job),
        ("webhook-secret", "webhooks secret", webhooks.print_secret),
    ):
        app.command(old, hidden=True)(_with_note(old, new, command))


class JobsGroup(TyperGroup):
    """The group `jobs`. It was a command that listed jobs, and still lists them without a verb."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Insert `list` if there is no verb."""
        if not ctx.resilient_parsing and (not args or (args[0].startswith("-") and args[0] not in ("--help", "-h"))):
            _note("jobs", "jobs list")
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _job(
    session: GatewaySession,
    job: JobId,
    *,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end.")] = False,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="Save its outputs.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Show a job, wait for it, or save its outputs."""
    if not wait and output is None:
        _note("job", "jobs show")
        jobs.print_job(session, job)
        return
    _note(f"job {'--wait' if output is None else '--output'}", "jobs wait" if output is None else "jobs download")
    options = ResultOptions(output=output, overwrite=overwrite)
    options.check(session.printer)
    finish(session, session.job_id(job), options)


def _deliveries(
    session: GatewaySession,
    job: JobId,
    *,
    resend: Annotated[bool, typer.Option("--resend", help="Send the webhook again.")] = False,
) -> None:
    """List the delivery attempts of a job's webhook, or send it again."""
    if resend:
        _note("deliveries --resend", "webhooks redeliver")
        webhooks.request_redelivery(session, job)
    else:
        _note("deliveries", "webhooks deliveries")
        webhooks.print_deliveries(session, job)


def _with_note(old: str, new: str, command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(**values: Any) -> None:  # noqa: ANN401  whatever the command takes
        _note(old, new)
        command(**values)

    return run


def _note(old: str, new: str) -> None:
    sys.stderr.write(f'{PROGRAM}: "{old}" is now "{new}". The old name works until the next version.\n')
