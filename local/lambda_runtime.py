"""Calls a handler as Lambda does: with a context, a time limit and payload limits."""

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
    """The handler did not answer in time."""


class FunctionFailedError(GatewayError):
    """The handler raised, or its answer is none that Lambda would carry."""


class EventTooLargeError(GatewayError):
    """The event is larger than Lambda takes."""


@dataclass(frozen=True)
class LocalContext:
    """What a handler sees of Lambda: the documented attributes of the context object."""

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
        """Milliseconds until the handler is cut off."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class _CutOff(BaseException):
    """Not an Exception, so that no handler takes it for an error of its own."""


def invoke(function_name: str, handler: Handler, event: dict[str, Any], *, timeout_seconds: float) -> dict[str, Any]:
    """Call the handler in this, the main, thread; return its answer.

    Raises EventTooLargeError, FunctionTimedOutError or FunctionFailedError.
    """
    if _size(event) > MAX_LAMBDA_PAYLOAD_BYTES:
        raise EventTooLargeError("The request is larger than a Lambda function takes.")
    context = LocalContext(
        function_name=function_name,
        aws_request_id=event["requestContext"]["requestId"],
        deadline=time.monotonic() + timeout_seconds,
    )
    try:
        with _cut_off_after(timeout_seconds):
            answer = handler(event, cast("LambdaContext", context))
        answer_bytes = _size(answer)
    except _CutOff:
        raise FunctionTimedOutError(f"{function_name} did not answer within {timeout_seconds:g} s.") from None
    except Exception as error:
        raise FunctionFailedError(f"{function_name} failed ({type(error).__name__}).") from error
    if answer_bytes > MAX_LAMBDA_PAYLOAD_BYTES:
        raise FunctionFailedError(f"{function_name} answered with more than {MAX_LAMBDA_PAYLOAD_BYTES} bytes.")
    if not isinstance(answer, dict) or not isinstance(answer.get("statusCode"), int):
        raise FunctionFailedError(f"{function_name} gave no answer that API Gateway understands.")
    return answer


def _size(payload: object) -> int:
    return len(json.dumps(payload, ensure_ascii=False).encode())


@contextmanager
def _cut_off_after(seconds: float) -> Iterator[None]:
    def cut_off(*_: object) -> None:
        raise _CutOff

    before = signal.signal(signal.SIGALRM, cut_off)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
