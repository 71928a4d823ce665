"""Faults of AWS, in the formats of its services, for `FaultProxy.inject`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from testing.fault_proxy import ServerResponse

if TYPE_CHECKING:
    from testing.fault_proxy import ProxiedRequest

# Every call that an executor makes for a job, with its heartbeats and the cached result (PutItem).
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
# boto3's retries and timeouts cannot be shortened: tests that exhaust them need a lease of this length.
BOTO_RETRIES_LEASE_SECONDS = 9

# By the service prefix of X-Amz-Target: status and error type.
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


def throttled(proxied: ProxiedRequest) -> None:
    """Respond with a throttling error."""
    _respond_with_error(proxied, _THROTTLING, (503, "SlowDown"))


def internal_error(proxied: ProxiedRequest) -> None:
    """Respond with an internal error."""
    _respond_with_error(proxied, _INTERNAL, (500, "InternalError"))


def reset(proxied: ProxiedRequest) -> None:
    """Reset the connection without executing the request."""
    proxied.reset()


def response_lost(proxied: ProxiedRequest) -> None:
    """Execute the request, and reset the connection."""
    proxied.forward()
    proxied.reset()


def no_response(proxied: ProxiedRequest) -> None:
    """Neither execute the request nor respond."""
    proxied.hang()


def executed_without_response(proxied: ProxiedRequest) -> None:
    """Execute the request, and never respond."""
    proxied.forward()
    proxied.hang()


def response_truncated(proxied: ProxiedRequest) -> None:
    """Execute the request, and reset the connection in the middle of the response."""
    proxied.respond(proxied.forward(), truncated=True)


def event_rejected(proxied: ProxiedRequest) -> None:
    """Respond to PutEvents with 200 and a failed entry, without executing it."""
    entries = [{"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}]
    body = json.dumps({"FailedEntryCount": 1, "Entries": entries}).encode()
    proxied.respond(ServerResponse(200, body, {"Content-Type": "application/x-amz-json-1.1"}))


def _respond_with_error(proxied: ProxiedRequest, errors: dict[str, tuple[int, str]], s3_error: tuple[int, str]) -> None:
    target = proxied.request.header("X-Amz-Target")
    if target:
        status, error_type = errors[target.partition(".")[0]]
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        if target.startswith("AmazonSQS"):
            headers["x-amzn-query-error"] = f"AWS.SimpleQueueService.{error_type.partition('#')[2]};Sender"
        body = json.dumps({"__type": error_type, "message": "injected by a test"})
    else:
        status, code = s3_error
        headers = {"Content-Type": "application/xml"}
        body = f"<Error><Code>{code}</Code><Message>injected by a test</Message></Error>"
    proxied.respond(ServerResponse(status, body.encode(), headers))
