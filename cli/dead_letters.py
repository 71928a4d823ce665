"""`comfyui-gateway dead-letters`: what queues gave up on, and giving it another chance."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.errors import GatewayError, SettingsInvalidError

if TYPE_CHECKING:
    from gateway.aws.dead_letters import SqsDeadLetters

app = typer.Typer(
    help="See what queues gave up on, and put it back. Needs the queue's URL (WEBHOOK_QUEUE_URL, HIGH_QUEUE_URL, "
    "NORMAL_QUEUE_URL or LOW_QUEUE_URL), AWS_REGION and credentials.",
    no_args_is_help=True,
)


class Queue(StrEnum):
    """Whose dead letters."""

    WEBHOOKS = "webhooks"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


_VARIABLES = {
    Queue.WEBHOOKS: "WEBHOOK_QUEUE_URL",
    Queue.HIGH: "HIGH_QUEUE_URL",
    Queue.NORMAL: "NORMAL_QUEUE_URL",
    Queue.LOW: "LOW_QUEUE_URL",
}


@app.command("list")
def list_letters(
    queue: Annotated[Queue, typer.Argument(help="Of which queue.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most to show.")] = 100,
) -> None:
    """Show when each was sent and which job it is about; they stay where they are."""
    from gateway.domain import instant  # noqa: PLC0415  the other commands need not wait for it
    from gateway.domain.messages import job_id_in  # noqa: PLC0415  likewise

    letters = _letters(queue).look(limit)
    for letter in letters:
        # Not the message itself: it can be a caller's prompt.
        typer.echo(f"{instant.to_text(letter.sent_at)}  {job_id_in(letter.body) or 'about no job'}")
    typer.echo(f"{len(letters)} dead letters of {queue}", err=True)


@app.command()
def redrive(queue: Annotated[Queue, typer.Argument(help="Of which queue.")]) -> None:
    """Put all of them back into their queue, as if they were new."""
    typer.echo(f"{_letters(queue).redrive()} messages put back into {queue}", err=True)


def _letters(queue: Queue) -> SqsDeadLetters:
    # The other commands need not wait for boto3.
    from gateway.aws.clients import Clients  # noqa: PLC0415
    from gateway.aws.dead_letters import SqsDeadLetters  # noqa: PLC0415

    variable = _VARIABLES[queue]
    try:
        url = os.environ.get(variable)
        if not url:
            raise SettingsInvalidError(f"{variable}: is not set")
        return SqsDeadLetters(Clients().sqs, url)
    except GatewayError as error:
        typer.echo(f"comfyui-gateway: {error.message}", err=True)
        raise typer.Exit(1) from None
