"""`comfyui-gateway dead-letters`: list and redrive messages that could not be processed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.aws_session import AwsSession, operator, with_aws
from cli.command_app import CommandApp
from gateway.clock import SYSTEM_CLOCK
from gateway.domain import timestamps

if TYPE_CHECKING:
    from gateway.aws.sqs.dead_letters import SqsDeadLetters

app = CommandApp(
    help="List and redrive messages that could not be processed. Requires AWS credentials with access to the gateway's "
    "queues, or a gateway that runs on this machine.",
)


class Queue(StrEnum):
    """A queue that has dead letters."""

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
@with_aws
def list_letters(
    session: AwsSession,
    queue: Annotated[Queue, typer.Argument(help="Queue of the dead letters.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of dead letters.")] = 100,
) -> None:
    """List dead letters: when each was sent, and its job. They stay in their queue.

    Examples:
      comfyui-gateway dead-letters list webhooks --stage prod

    """
    from gateway.domain.messages import job_id_in  # noqa: PLC0415  `--help` does without pydantic

    # Not the messages themselves: they contain callers' prompts.
    letters = [
        (timestamps.to_text(each.sent_at), job_id_in(each.body)) for each in _letters(session, queue).look(limit)
    ]
    if session.printer.as_json:
        listed = [{"sentAt": sent_at, "jobId": job_id} for sent_at, job_id in letters]
        session.printer.json({"queue": queue, "deadLetters": listed, "count": len(listed)})
        return
    rows = [(session.printer.age(sent_at), job_id or "no job") for sent_at, job_id in letters]
    session.printer.table(("SENT", "JOB"), rows, unbroken=("SENT", "JOB"))
    session.printer.note(_counted(len(letters), queue) + ".")


@app.command("redrive")
@with_aws
def redrive(session: AwsSession, queue: Annotated[Queue, typer.Argument(help="Queue of the dead letters.")]) -> None:
    """Send all dead letters to their queue again, as new messages.

    Examples:
      comfyui-gateway dead-letters redrive webhooks --stage prod

    """
    from gateway.domain.audit import AuditAction, AuditEntry  # noqa: PLC0415  `--help` does without it

    letters = _letters(session, queue)
    count = 0
    if letters.look(1):
        # Before the redrive, so that none is without an entry.
        session.audit_log.record(
            AuditEntry.new(AuditAction.DEAD_LETTERS_REDRIVEN, queue, by=operator(), at=SYSTEM_CLOCK.now())
        )
        count = letters.redrive()
    if session.printer.as_json:
        session.printer.json({"queue": queue, "count": count})
    else:
        session.printer.note(_counted(count, queue) + (" redriven." if count else "."))


def _counted(count: int, queue: Queue) -> str:
    return f"{count or 'No'} dead {'letter' if count == 1 else 'letters'} in queue {queue}"


def _letters(session: AwsSession, queue: Queue) -> SqsDeadLetters:
    from gateway.aws.sqs.dead_letters import SqsDeadLetters  # noqa: PLC0415  boto3 takes half a second to import

    url = session.variable(_VARIABLES[queue])  # first: its error has the advice, not that about a region
    return SqsDeadLetters(session.clients.sqs, url)
