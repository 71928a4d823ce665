"""A batch of SQS messages, each processed on its own: one that fails does not make the others come back.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html describes the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.logs import event_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from functions.wiring.events import EventFunction


def each_message(process: Callable[[dict[str, Any]], bool]) -> EventFunction:
    """Make a function that processes every message of a batch and returns which ones Lambda has to keep.

    `process` gets a record of the event. When it returns False or raises, the message comes back after its
    visibility timeout; otherwise it is deleted.
    """

    def process_batch(event: dict[str, Any]) -> dict[str, Any]:
        unfinished = [record["messageId"] for record in event["Records"] if not _finished(record, process)]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in unfinished]}

    return process_batch


def _finished(record: dict[str, Any], process: Callable[[dict[str, Any]], bool]) -> bool:
    try:
        return process(record)
    except Exception:  # noqa: BLE001  whatever it was: the message comes back
        event_logger.exception("message failed", action="message_failed", message_id=record["messageId"])
        return False
