"""`comfyui-gateway`: the operator's command.

The commands of a noun are in the module of that name. No module imports at its top what `--help` does not need: boto3,
requests and pydantic take longer to import than most commands take to run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import (
    audit,
    dead_letters,
    doctor,
    env_file,
    health,
    init,
    jobs,
    keys,
    old_names,
    stats,
    submit,
    webhooks,
    workflows,
)
from cli.command_app import CommandApp
from cli.connection import API_KEY, LOCAL_URL, TOKEN
from cli.error_output import ErrorReportingGroup
from cli.exit_codes import CommandFailedError, ExitCode
from cli.gateway_session import with_gateway
from cli.printer import PROGRAM, Printer
from cli.shared_options import JsonOption  # noqa: TC001  Typer reads it
from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

_SETUP, _JOBS, _OPERATION = "Set up and run", "Jobs and workflows", "Operation"
_EXIT_CODES = "\n".join(f"{code.value}: {code.meaning}" for code in ExitCode)

app = CommandApp(
    cls=ErrorReportingGroup,
    help="Run ComfyUI workflows through a REST API with a durable queue.\n\n"
    "Commands call the gateway at --url or COMFYUI_GATEWAY_URL, else that of your profile (see init), else "
    "http://127.0.0.1:3000. All print JSON with --json, and report an error in one line on stderr.\n\n"
    "Examples:\n"
    "  comfyui-gateway run\n"
    "  comfyui-gateway submit icon_512 -i prompt='a red key' -o pictures\n"
    "  comfyui-gateway jobs list --status failed --after 1h",
    epilog=f"Exit codes:\n\n{_EXIT_CODES}",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  Typer passes it like this
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options before the command."""


app.command("init", rich_help_panel=_SETUP)(init.init)


@app.command("run", rich_help_panel=_SETUP)
def run(
    *,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Delete all data at the end.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST, 127.0.0.1).")] = None,
    port: Annotated[str | None, typer.Option(help="Port to listen on (PORT, 3000).")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder for jobs and outputs (DATA_DIR, ./data).")] = None,
) -> None:
    """Run the whole gateway on this machine until Ctrl-C.

    Settings are environment variables, or lines of the file .env in this folder: see init.

    Examples:
      comfyui-gateway run
      comfyui-gateway run --port 3001 --ephemeral

    """
    from cli.env_settings import is_known, secret_names, unknown_names  # noqa: PLC0415  the other commands do without it
    from gateway.errors import SettingsInvalidError  # noqa: PLC0415  the other commands do without it
    from gateway.settings import LocalSettings  # noqa: PLC0415  the other commands do without it

    file = Path(".env")
    from_file = env_file.read(file) or {}
    printer = Printer(as_json=False)
    for problem in unknown_names(from_file):
        printer.warning(f"{file}: {problem}; ignored")
    if secret_names(from_file) and env_file.is_exposed(file):
        printer.warning(f"{file}: other users of this machine can read its secrets: chmod 600 {file}")
    from_file = {name: value for name, value in from_file.items() if is_known(name)}
    options = {"HOST": host, "PORT": port, "DATA_DIR": data_dir}
    environment = {**from_file, **os.environ}
    environment |= {name: value for name, value in options.items() if value is not None}
    try:
        settings = LocalSettings.from_environment(environment)
    except SettingsInvalidError as error:
        sources = {
            **{name: f"{file}: {name}" for name in from_file if name not in os.environ},
            **{name: f"--{name.lower().replace('_', '-')}" for name, value in options.items() if value is not None},
        }
        message = "; ".join(f"{sources.get(name, name)}: {reason}" for name, reason in error.problems.items())
        by_option = any(sources.get(name, "").startswith("--") for name in error.problems)
        raise CommandFailedError(message, ExitCode.USAGE if by_option else ExitCode.FAILED) from None
    from local.banner import Command  # noqa: PLC0415  the other commands do without it
    from local.supervisor import Supervisor  # noqa: PLC0415  the other commands do without it

    called_as = Path(sys.argv[0])
    command = Command(
        program=str(called_as) if called_as.name == PROGRAM else PROGRAM,  # with its path, as it may not be on PATH
        default_url=LOCAL_URL,
        api_key_variable=API_KEY,
        token_variable=TOKEN,
    )
    if not Supervisor(settings, environment, ephemeral=ephemeral, command=command).run():
        raise typer.Exit(ExitCode.FAILED)


@app.command("worker", rich_help_panel=_SETUP)
def worker() -> None:
    """Run an executor next to a ComfyUI.

    Settings are environment variables. Required are TABLE_NAME, BUCKET_NAME, EVENT_BUS_NAME, HIGH_QUEUE_URL,
    NORMAL_QUEUE_URL, LOW_QUEUE_URL, AWS_REGION, and credentials for boto3. Set COMFYUI_URL if it is not
    http://127.0.0.1:8188. See docs/configuration.md.

    Examples:
      comfyui-gateway worker

    """
    from executor.__main__ import end_process  # noqa: PLC0415  the other commands do without it
    from executor.__main__ import run as run_executor  # noqa: PLC0415  the other commands do without it
    from gateway.errors import SettingsInvalidError  # noqa: PLC0415  the other commands do without it

    try:
        run_executor()
    except SettingsInvalidError as error:
        if os.environ.get("TABLE_NAME"):
            raise
        raise CommandFailedError(
            error.message,
            advice="A deployed stage has the settings in its output Environment (docs/executors.md), a gateway on this "
            "machine in ./data/environment.",
        ) from None
    end_process(0)


app.command("submit", rich_help_panel=_JOBS)(with_gateway(submit.submit))


@app.command("version", rich_help_panel=_OPERATION)
def version(*, as_json: JsonOption = False) -> None:
    """Print the version of this command.

    Examples:
      comfyui-gateway version

    """
    if as_json:
        Printer(as_json=True).json({"version": VERSION})
    else:
        typer.echo(VERSION)


_ON_GATEWAY: tuple[tuple[str, Callable[..., None]], ...] = (
    ("health", health.health),
    ("doctor", doctor.doctor),
    ("stats", stats.stats),
    ("audit", audit.audit),
)
for name, command in _ON_GATEWAY:
    app.command(name, rich_help_panel=_OPERATION)(with_gateway(command))
app.add_typer(jobs.app, name="jobs", cls=old_names.JobsGroup, rich_help_panel=_JOBS)
app.add_typer(workflows.app, name="workflows", rich_help_panel=_JOBS)
app.add_typer(webhooks.app, name="webhooks", rich_help_panel=_JOBS)
app.add_typer(keys.app, name="keys", short_help="Create, list and revoke API keys.", rich_help_panel=_OPERATION)
app.add_typer(
    dead_letters.app,
    name="dead-letters",
    short_help="List and redrive messages that could not be processed.",
    rich_help_panel=_OPERATION,
)
old_names.add_old_names(app)
