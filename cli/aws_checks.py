"""Checks of doctor in AWS itself: credentials, the table, the queues and their dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.exit_codes import CommandFailedError
from cli.gateway_checks import CheckState, Finding
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


def check_aws(session: AwsSession) -> Iterator[Finding]:
    """Check the table, then each queue. The first check that fails to run ends it."""
    try:
        with raising_operator_errors():
            name = session.variable("TABLE_NAME")
            status = diagnostics.table_status(session.clients.dynamodb, name)
            good = status == "ACTIVE"
            advice = "" if good else "Wait, and check the table in the AWS console."
            yield Finding("table", CheckState.GOOD if good else CheckState.PROBLEM, f"{name} is {status}", advice)
            for variable, queue in _QUEUES.items():
                yield from _queue(queue, diagnostics.queue_state(session.clients.sqs, session.variable(variable)))
    except SettingsInvalidError as error:
        yield Finding("aws", CheckState.PROBLEM, error.message, "Set AWS_REGION to the region of the deployment.")
    except CommandFailedError as error:
        yield Finding("aws", CheckState.PROBLEM, error.message, error.advice)
    except GatewayError as error:
        advice = "Allow these credentials to read the table and the queues, or select another --stage."
        yield Finding("aws", CheckState.PROBLEM, error.message, advice)


def _queue(queue: str, state: diagnostics.QueueState) -> Iterator[Finding]:
    counts = f"{state.waiting} waiting, {state.taken} in flight"
    if state.waiting >= _MANY_WAITING:
        yield Finding(f"queue {queue}", CheckState.WARNING, counts, "Add executors to work it off faster.")
    else:
        yield Finding(f"queue {queue}", CheckState.GOOD, counts)
    if state.dead:
        yield Finding(
            f"queue {queue}",
            CheckState.WARNING,
            f"{state.dead} dead letters",
            f"List them: comfyui-gateway dead-letters list {queue}",
        )
