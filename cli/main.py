"""`comfyui-gateway`: the operator's command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cli import dead_letters
from gateway.__about__ import VERSION
from gateway.errors import GatewayError
from gateway.settings import LocalSettings, WebhookSecretSettings

app = typer.Typer(
    help="A REST API with a durable queue in front of ComfyUI.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.add_typer(dead_letters.app, name="dead-letters")


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


@app.command()
def run(
    *,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing after the end.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on; HOST, or 127.0.0.1.")] = None,
    port: Annotated[str | None, typer.Option(help="Port to listen on; PORT, or 3000.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder for jobs and outputs; DATA_DIR, or ./data.")] = None,
) -> None:
    """Run the whole gateway on this machine, until Ctrl-C."""
    given = {"HOST": host, "PORT": port, "DATA_DIR": data_dir}
    environment = {**os.environ, **{name: value for name, value in given.items() if value is not None}}
    try:
        settings = LocalSettings.from_environment(environment)
        # The other commands need not wait for what this one imports.
        from cli.local.supervisor import Supervisor  # noqa: PLC0415

        saved = Supervisor(settings, environment, ephemeral=ephemeral).run()
    except GatewayError as error:
        typer.echo(f"comfyui-gateway: {error.message}", err=True)
        raise typer.Exit(1) from None
    if not saved:
        raise typer.Exit(1)


@app.command()
def worker() -> None:
    """Run an executor beside a ComfyUI, by the settings in the environment.

    Required: TABLE_NAME, BUCKET_NAME, EVENT_BUS_NAME, HIGH_QUEUE_URL, NORMAL_QUEUE_URL and LOW_QUEUE_URL, as well as
    AWS_REGION and credentials as boto3 finds them. COMFYUI_URL when it is not http://127.0.0.1:8188.

    All settings: docs/configuration.md
    """
    from executor.__main__ import main  # noqa: PLC0415  the other commands need not wait for it

    sys.exit(main())


@app.command()
def webhook_secret(
    owner: Annotated[str, typer.Argument(help="Whose: the owner of a key, or the subject of a JWT.")],
) -> None:
    """Print an owner's own webhook secret, for WEBHOOK_SECRET_PER_OWNER.

    It is made from WEBHOOK_SECRET and, if it was ever replaced, WEBHOOK_SECRET_RENEWALS.
    """
    from functions.webhook_signature import owner_secret  # noqa: PLC0415  the other commands need not wait for it

    try:
        settings = WebhookSecretSettings.from_environment(os.environ)
    except GatewayError as error:
        typer.echo(f"comfyui-gateway: {error.message}", err=True)
        raise typer.Exit(1) from None
    renewal = dict(settings.webhook_secret_renewals).get(owner, 0)
    typer.echo(owner_secret(settings.webhook_secret.get_secret_value(), owner, renewal))


if __name__ == "__main__":
    app()
