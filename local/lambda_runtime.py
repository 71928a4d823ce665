"""Call a handler as Lambda does: with a context, a time limit and payload limits."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from gateway.errors import GatewayError
from gateway.limits import MAX_LAMBDA_PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.entry import Handler


class FunctionTimedOutError(GatewayError):
    """The handler did not return in time."""


class FunctionFailedError(GatewayError):
    """The handler raised, or Lambda would reject its response."""


class EventTooLargeError(GatewayError):
    """The event is larger than Lambda accepts."""


@dataclass(frozen=True)
class LocalContext:
    """The documented attributes of the Lambda context object."""

    function_name: str
    aws_request_id: str
    deadline: float  # on the monotonic clock
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 1024
    log_stream_name: str = "local"
    identity: None = None
    client_context: None = None
    invoked_function_arn: str = field(init=False)
    log_group_name: str = field(init=False)

    def __post_init__(self) -> None:
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{self.function_name}"
        object.__setattr__(self, "invoked_function_arn", arn)
        object.__setattr__(self, "log_group_name", f"/aws/lambda/{self.function_name}")

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the handler is stopped."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class _TimeLimitReached(BaseException):
    """Not an Exception, so that no handler catches it."""


def invoke(function_name: str, handler: Handler, event: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    """Call the handler in this thread, which must be the main thread; return its response.

    Raises EventTooLargeError, FunctionTimedOutError or FunctionFailedError.
    """
    if _size(event) > MAX_LAMBDA_PAYLOAD_BYTES:
        raise EventTooLargeError("The event is larger than the limit of Lambda.")
    context = LocalContext(
        function_name=function_name,
        aws_request_id=event["requestContext"]["requestId"],
        deadline=time.monotonic() + timeout_seconds,
    )
    try:
        with _time_limit(timeout_seconds):
            response = handler(event, cast("LambdaContext", context))
        response_bytes = _size(response)
    except _TimeLimitReached:
        raise FunctionTimedOutError(f"{function_name} did not return within {timeout_seconds:g} s.") from None
    except Exception as error:
        raise FunctionFailedError(f"{function_name} failed ({type(error).__name__}).") from error
    if response_bytes > MAX_LAMBDA_PAYLOAD_BYTES:
        raise FunctionFailedError(f"{function_name} returned more than {MAX_LAMBDA_PAYLOAD_BYTES} bytes.")
    if not isinstance(response, dict) or not isinstance(response.get("statusCode"), int):
        raise FunctionFailedError(f"{function_name} returned no valid response for API Gateway.")
    return response


def _size(payload: object) -> int:
    return len(json.dumps(payload, ensure_ascii=False).encode())


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise _TimeLimitReached

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
