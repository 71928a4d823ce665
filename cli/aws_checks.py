"""What doctor looks at in AWS itself: credentials, the table, the queues and what they gave up on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.finding import Finding, State
from gateway.aws import diagnostics
from gateway.aws.error_messages import raising_operator_errors
from gateway.errors import GatewayError, SettingsInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.aws_session import AwsSession

_QUEUES = {
    "HIGH_QUEUE_URL": "high",
    "NORMAL_QUEUE_URL": "normal",
    "LOW_QUEUE_URL": "low",
    "WEBHOOK_QUEUE_URL": "webhooks",
}
_MANY_WAITING = 1000


def look_at_aws(session: AwsSession) -> Iterator[Finding]:
    """Look at the table, then at each queue; the first that cannot be looked at ends it."""
    try:
        with raising_operator_errors():
            name = session.variable("TABLE_NAME")
            status = diagnostics.table_status(session.clients.dynamodb, name)
            good = status == "ACTIVE"
            advice = "" if good else "Wait, and look at the table in the AWS console."
            yield Finding("table", State.GOOD if good else State.PROBLEM, f"{name} is {status}", advice)
            for variable, queue in _QUEUES.items():
                yield from _queue(queue, diagnostics.queue_state(session.clients.sqs, session.variable(variable)))
    except SettingsInvalidError as error:
        yield Finding("aws", State.PROBLEM, error.message, "Set AWS_REGION to the region of the deployment.")
    except GatewayError as error:
        advice = "Give these credentials the right to read the table and the queues, or name the right --stage."
        yield Finding("aws", State.PROBLEM, error.message, advice)


def _queue(queue: str, state: diagnostics.QueueState) -> Iterator[Finding]:
    said = f"{state.waiting} waiting, {state.taken} under way"
    if state.waiting >= _MANY_WAITING:
        yield Finding(f"queue {queue}", State.WARNING, said, "More executors make it shorter.")
    else:
        yield Finding(f"queue {queue}", State.GOOD, said)
    if state.dead:
        yield Finding(
            f"queue {queue}",
            State.WARNING,
            f"{state.dead} messages were given up on",
            f"See them: comfyui-gateway dead-letters list {queue}",
        )
