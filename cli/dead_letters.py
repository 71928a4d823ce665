"""`comfyui-gateway dead-letters`: what queues gave up on, and giving it another chance."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.aws_session import AwsSession, operator, with_aws
from gateway.domain import timestamps

if TYPE_CHECKING:
    from gateway.aws.sqs.dead_letters import SqsDeadLetters

app = typer.Typer(
    help="See what queues gave up on, and put it back. Needs AWS credentials that may use the gateway's queues, or a "
    "gateway that runs on this machine.",
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
@with_aws
def list_letters(
    session: AwsSession,
    queue: Annotated[Queue, typer.Argument(help="Of which queue.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most to show.")] = 100,
) -> None:
    """Show when each was sent and which job it is about; they stay where they are.

    Try:

      comfyui-gateway dead-letters list webhooks --stage prod
    """
    from gateway.domain.messages import job_id_in  # noqa: PLC0415  `--help` need not wait for pydantic

    # Not the messages themselves: one can be a caller's prompt.
    letters = [
        (timestamps.to_text(each.sent_at), job_id_in(each.body)) for each in _letters(session, queue).look(limit)
    ]
    if session.printer.as_json:
        listed = [{"sentAt": sent_at, "jobId": job_id} for sent_at, job_id in letters]
        session.printer.data({"queue": queue, "deadLetters": listed, "count": len(listed)})
        return
    rows = [(session.printer.moment(sent_at), job_id or "about no job") for sent_at, job_id in letters]
    session.printer.table(("SENT", "JOB"), rows, whole=("SENT", "JOB"))
    session.printer.note(f"{len(letters)} dead letters of {queue}")


@app.command()
@with_aws
def redrive(session: AwsSession, queue: Annotated[Queue, typer.Argument(help="Of which queue.")]) -> None:
    """Put all of them back into their queue, as if they were new.

    Try:

      comfyui-gateway dead-letters redrive webhooks --stage prod
    """
    from gateway.aws.dynamodb.audit_log import DynamoAuditLog  # noqa: PLC0415  boto3 takes half a second
    from gateway.domain.audit import AuditAction, AuditEntry  # noqa: PLC0415  `--help` need not wait for it

    letters = _letters(session, queue)
    audit = DynamoAuditLog(session.clients.dynamodb, session.variable("TABLE_NAME"), session.retention_days)
    # Before, so that nothing is put back without a trace.
    audit.record(AuditEntry.new(AuditAction.DEAD_LETTERS_REDRIVEN, queue, by=operator(), at=timestamps.now()))
    count = letters.redrive()
    if session.printer.as_json:
        session.printer.data({"queue": queue, "count": count})
    else:
        session.printer.note(f"{count} messages put back into {queue}")


def _letters(session: AwsSession, queue: Queue) -> SqsDeadLetters:
    from gateway.aws.sqs.dead_letters import SqsDeadLetters  # noqa: PLC0415  boto3 takes half a second

    return SqsDeadLetters(session.clients.sqs, session.variable(_VARIABLES[queue]))
