"""`comfyui-gateway webhooks`: show and repeat deliveries, test a receiver, print an owner's secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_app import CommandApp
from cli.exit_codes import CommandFailedError
from cli.gateway_session import with_gateway
from cli.jobs import JobId  # noqa: TC001  Typer reads it
from cli.printer import Printer
from cli.shared_options import JsonOption  # noqa: TC001  Typer reads it

if TYPE_CHECKING:
    from cli.gateway_session import GatewaySession

app = CommandApp(help="Show and repeat webhook deliveries, test a receiver, print a secret.")


@app.command("deliveries")
@with_gateway
def list_deliveries(session: GatewaySession, job: JobId) -> None:
    """List the delivery attempts of a job's webhook.

    Examples:
      comfyui-gateway webhooks deliveries 3f0c5f8e

    """
    print_deliveries(session, job)


def print_deliveries(session: GatewaySession, job: str) -> None:
    """Print the delivery attempts of a job's webhook."""
    response = session.api.deliveries(session.job_id(job))
    if session.printer.as_json:
        session.printer.json(response)
        return
    rows = [
        (
            str(attempt["attempt"]),
            session.printer.age(attempt["timestamp"]),
            str(attempt["statusCode"] or "-"),
            attempt["error"] or "delivered",
            session.printer.distance(attempt["nextAttemptAt"]) if attempt["nextAttemptAt"] else "-",
        )
        for attempt in response["deliveries"]
    ]
    columns = ("ATTEMPT", "SENT", "STATUS", "RESULT", "NEXT")
    session.printer.table(columns, rows, unbroken=("ATTEMPT", "SENT", "STATUS", "NEXT"))
    if not rows:
        session.printer.note("No attempts yet: the job has no callbackUrl, or has not ended.")


@app.command("redeliver")
@with_gateway
def redeliver(session: GatewaySession, job: JobId) -> None:
    """Send a job's webhook again.

    Examples:
      comfyui-gateway webhooks redeliver 3f0c5f8e

    """
    request_redelivery(session, job)


def request_redelivery(session: GatewaySession, job: str) -> None:
    """Send a job's webhook again, and print what the gateway responds."""
    response = session.api.redeliver(session.job_id(job))
    if session.printer.as_json:
        session.printer.json(response)
    else:
        session.printer.note(f"Webhook {response['webhookId']} will be sent again.")


@app.command("test")
@with_gateway
def test_receiver(
    session: GatewaySession, receiver: Annotated[str, typer.Argument(metavar="URL", help="Address of the receiver.")]
) -> None:
    """Send a sample webhook to a receiver. Exit with 1 if it is not delivered.

    Examples:
      comfyui-gateway webhooks test https://app.example.com/hooks/comfyui

    """
    result = session.api.test_webhook(receiver)
    if session.printer.as_json:
        session.printer.json(result)
    elif result["delivered"]:
        session.printer.note(f"Delivered: status {result['statusCode']} after {result['durationMs']} ms.")
    if not result["delivered"]:
        raise CommandFailedError(
            f"Not delivered: {result['error'] or 'unknown error'}",
            advice="The receiver must return a 2xx status within 10 s, at an address that the gateway reaches.",
        )


@app.command("secret")
def print_secret(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Owner of a key, or subject of a JWT.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Print the webhook secret of an owner, for WEBHOOK_SECRET_PER_OWNER.

    It is derived from WEBHOOK_SECRET and WEBHOOK_SECRET_RENEWALS in the environment.

    Examples:
      comfyui-gateway webhooks secret shop

    """
    from functions.webhooks.signing import owner_secret  # noqa: PLC0415  the other commands do without it
    from gateway.settings import WebhookSecretSettings  # noqa: PLC0415  the other commands do without it

    settings = WebhookSecretSettings.from_environment(os.environ)
    renewal = dict(settings.webhook_secret_renewals).get(owner, 0)
    secret = owner_secret(settings.webhook_secret.get_secret_value(), owner, renewal)
    if as_json:
        Printer(as_json=True).json({"owner": owner, "secret": secret})
    else:
        typer.echo(secret)
