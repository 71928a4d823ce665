"""A batch of SQS messages, each dealt with on its own: one that fails does not bring the others back.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html describes the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from functions.wiring.events import logger

if TYPE_CHECKING:
    from collections.abc import Callable


def each_message(event: dict[str, Any], deal_with: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Deal with every message of an event; return what Lambda needs to know to delete those that are done with.

    `deal_with` takes a record of the event. When it returns False or raises, the message comes back after its
    visibility time-out.
    """
    unfinished = [record["messageId"] for record in event["Records"] if not _done(record, deal_with)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in unfinished]}


def _done(record: dict[str, Any], deal_with: Callable[[dict[str, Any]], bool]) -> bool:
    try:
        return deal_with(record)
    except Exception:  # noqa: BLE001  whatever it was: the message comes back
        logger.exception("message not dealt with", action="message_failed", message_id=record["messageId"])
        return False
