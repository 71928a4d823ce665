"""How AWS fails, in its own formats."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.faults.gate import Response

if TYPE_CHECKING:
    from tests.faults.gate import Passage

# Every call that an executor makes for a job, with its reports and the result that it keeps (PutItem).
STEPS = (
    "GetQueueAttributes",
    "PutItem",
    "ReceiveMessage",
    "claim",
    "renew",
    "ChangeMessageVisibility",
    "PutObject",
    "finish",
    "PutEvents",
    "DeleteMessage",
)
# boto3's tries, and the time it gives to each, are not to be shortened: where they count, so long a lease is needed.
PATIENT_LEASE_SECONDS = 9

# By the protocol's prefix of X-Amz-Target: status and error type.
_THROTTLING = {
    "DynamoDB_20120810": (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"),
    "AmazonSQS": (403, "com.amazonaws.sqs#RequestThrottled"),
    "AWSEvents": (400, "ThrottlingException"),
}
_INTERNAL = {
    "DynamoDB_20120810": (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
    "AmazonSQS": (500, "com.amazonaws.sqs#InternalFailure"),
    "AWSEvents": (500, "InternalException"),
}


def throttled(passage: Passage) -> None:
    """Refuse, because there is too much to do."""
    _refuse(passage, _THROTTLING, (503, "SlowDown"))


def internal_error(passage: Passage) -> None:
    """Fail inside."""
    _refuse(passage, _INTERNAL, (500, "InternalError"))


def reset(passage: Passage) -> None:
    """Reset the connection; nothing is carried out."""
    passage.drop()


def answer_lost(passage: Passage) -> None:
    """Carry the request out, and reset the connection."""
    passage.forward()
    passage.drop()


def timed_out(passage: Passage) -> None:
    """Carry nothing out, and never answer."""
    passage.wait_until_given_up()


def answer_late(passage: Passage) -> None:
    """Carry the request out, and never answer."""
    passage.forward()
    passage.wait_until_given_up()


def cut(passage: Passage) -> None:
    """Break off in the middle of the answer."""
    passage.answer(passage.forward(), cut=True)


def event_refused(passage: Passage) -> None:
    """Answer PutEvents as if all were well, but for the count of events that were not taken."""
    entries = [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]
    body = json.dumps({"FailedEntryCount": 1, "Entries": entries}).encode()
    passage.answer(Response(200, body, {"Content-Type": "application/x-amz-json-1.1"}))


def _refuse(passage: Passage, errors: dict[str, tuple[int, str]], s3_error: tuple[int, str]) -> None:
    target = passage.request.header("X-Amz-Target")
    if target:
        status, error_type = errors[target.partition(".")[0]]
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        if target.startswith("AmazonSQS"):
            headers["x-amzn-query-error"] = f"AWS.SimpleQueueService.{error_type.partition('#')[2]};Sender"
        body = json.dumps({"__type": error_type, "message": "made by a test"})
    else:
        status, code = s3_error
        headers = {"Content-Type": "application/xml"}
        body = f"<Error><Code>{code}</Code><Message>made by a test</Message></Error>"
    passage.answer(Response(status, body.encode(), headers))
