"""`comfyui-gateway`: the operator's command.

Each command is in a file of its own. None imports at the top what `--help` does not need: boto3, requests and pydantic
take longer than most commands.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import add_workflow, dead_letters, doctor, env_file, health, init, jobs, keys, submit, workflows
from cli.connection import API_KEY, LOCAL_URL, TOKEN
from cli.error_output import OneLineErrorGroup
from cli.exit_codes import CommandFailedError, ExitCode
from cli.gateway_session import with_gateway
from cli.printer import Printer
from gateway.__about__ import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "comfyui-gateway"
_SET_UP, _WORKFLOWS, _JOBS, _OPERATION = "Set up and run", "Workflows", "Jobs", "Operation"
_EXIT_CODES = "\n".join(f"{code.value}: {code.meaning}" for code in ExitCode)

app = typer.Typer(
    cls=OneLineErrorGroup,
    help="A REST API with a durable queue in front of ComfyUI.\n\n"
    "Most commands talk to a gateway: the one that --url or COMFYUI_GATEWAY_URL names, else that of your profile "
    "(made by init), else http://127.0.0.1:3000. They take --json for scripts, and say in one line on "
    "stderr what is wrong.\n\n"
    "Example: comfyui-gateway submit icon_512 -i prompt='a red key' -o pictures",
    epilog=f"Exit codes:\n\n{_EXIT_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.command(rich_help_panel=_SET_UP)(init.init)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  Typer hands it over like this
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take what stands before the command."""


@app.command(rich_help_panel=_SET_UP)
def run(
    *,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing after the end.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; HOST, or 127.0.0.1.")] = None,
    port: Annotated[str | None, typer.Option(help="Port to listen on; PORT, or 3000.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder for jobs and outputs; DATA_DIR, or ./data.")] = None,
) -> None:
    """Run the whole gateway on this machine, until Ctrl-C.

    Settings are environment variables, or lines of a file .env in this folder: see init.

    Try:

      comfyui-gateway run --port 3001 --ephemeral
    """
    from gateway.settings import LocalSettings  # noqa: PLC0415  the other commands need not wait for it

    given = {"HOST": host, "PORT": port, "DATA_DIR": data_dir}
    environment = env_file.under(os.environ, Path(".env"))
    environment |= {name: value for name, value in given.items() if value is not None}
    settings = LocalSettings.from_environment(environment)
    from local.banner import Command  # noqa: PLC0415  also slow to import
    from local.supervisor import Supervisor  # noqa: PLC0415  also slow to import

    called = Path(sys.argv[0])
    command = Command(
        program=str(called) if called.name == _NAME else _NAME,  # with its path: it may not be on PATH
        default_url=LOCAL_URL,
        api_key_variable=API_KEY,
        token_variable=TOKEN,
    )
    if not Supervisor(settings, environment, ephemeral=ephemeral, command=command).run():
        raise typer.Exit(ExitCode.FAILED)


@app.command(rich_help_panel=_SET_UP)
def worker() -> None:
    """Run an executor beside a ComfyUI, by the settings in the environment.

    Required: TABLE_NAME, BUCKET_NAME, EVENT_BUS_NAME, HIGH_QUEUE_URL, NORMAL_QUEUE_URL and LOW_QUEUE_URL, as well as
    AWS_REGION and credentials as boto3 finds them. COMFYUI_URL when it is not http://127.0.0.1:8188.

    All settings: docs/configuration.md
    """
    from executor.__main__ import run as run_executor  # noqa: PLC0415  the other commands need not wait for it
    from gateway.errors import SettingsInvalidError  # noqa: PLC0415  likewise

    try:
        run_executor()
    except SettingsInvalidError as error:
        if os.environ.get("TABLE_NAME"):
            raise
        raise CommandFailedError(
            f"{error.message}. Those of a deployed stage are in its output Environment (docs/executors.md); those of a "
            "gateway that runs on this machine, in ./data/environment"
        ) from None


_ON_GATEWAY: tuple[tuple[str, str, Callable[..., None]], ...] = (
    (_WORKFLOWS, "list-workflows", workflows.list_workflows),
    (_WORKFLOWS, "show-workflow", workflows.show_workflow),
    (_WORKFLOWS, "add-workflow", add_workflow.add_workflow),
    (_WORKFLOWS, "remove-workflow", workflows.remove_workflow),
    (_JOBS, "submit", submit.submit),
    (_JOBS, "jobs", jobs.jobs),
    (_JOBS, "job", jobs.job),
    (_JOBS, "logs", jobs.logs),
    (_JOBS, "cancel", jobs.cancel),
    (_JOBS, "deliveries", jobs.deliveries),
    (_OPERATION, "health", health.health),
    (_OPERATION, "doctor", doctor.doctor),
)
for panel, name, command in _ON_GATEWAY:
    app.command(name, rich_help_panel=panel)(with_gateway(command))
app.add_typer(keys.app, name="keys", short_help="Make, list and revoke API keys.", rich_help_panel=_OPERATION)
app.add_typer(
    dead_letters.app,
    name="dead-letters",
    short_help="See what queues gave up on, and put it back.",
    rich_help_panel=_OPERATION,
)


@app.command(rich_help_panel=_OPERATION)
def webhook_secret(
    owner: Annotated[str, typer.Argument(help="Whose: the owner of a key, or the subject of a JWT.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")] = False,
) -> None:
    """Print an owner's own webhook secret, for WEBHOOK_SECRET_PER_OWNER.

    It is made from WEBHOOK_SECRET and, if it was ever replaced, WEBHOOK_SECRET_RENEWALS.
    """
    from functions.webhooks.signing import owner_secret  # noqa: PLC0415  the other commands need not wait for it
    from gateway.settings import WebhookSecretSettings  # noqa: PLC0415  likewise

    settings = WebhookSecretSettings.from_environment(os.environ)
    renewal = dict(settings.webhook_secret_renewals).get(owner, 0)
    secret = owner_secret(settings.webhook_secret.get_secret_value(), owner, renewal)
    if as_json:
        Printer(as_json=True).data({"owner": owner, "secret": secret})
    else:
        typer.echo(secret)


if __name__ == "__main__":
    app()
