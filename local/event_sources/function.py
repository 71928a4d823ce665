"""A handler of a function that no request calls, run as Lambda runs it."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

from functions.routing import module_of
from local.lambda_runtime import FunctionTimedOutError, LocalContext

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.entry import Handler
    from gateway.aws.resources import FunctionResource

logger = logging.getLogger(__name__)


class LocalFunction:
    """A function whose sources, in threads of their own, call it one at a time, if it does not take more, as in AWS.

    A thread cannot be cut off as Lambda cuts off a process, so one that takes too long has done its work and still
    counts as failed, which shows here what would go wrong there.
    """

    def __init__(self, resource: FunctionResource, handler: Handler) -> None:
        self._resource = resource
        self._handler = handler
        self._slots = threading.BoundedSemaphore(self.slots)

    @property
    def slots(self) -> int:
        """How many calls it takes at once."""
        return self._resource.max_concurrency or 1

    @property
    def name(self) -> str:
        """Name it in a log."""
        return self._resource.name

    def invoke(self, event: dict[str, Any]) -> Any:  # noqa: ANN401  whatever it answers
        """Call the handler. Raises what it raises, and FunctionTimedOutError."""
        limit_seconds = self._resource.timeout_seconds
        with self._slots:
            deadline = time.monotonic() + limit_seconds
            context = LocalContext(function_name=self.name, aws_request_id=str(uuid.uuid4()), deadline=deadline)
            answer = self._handler(event, cast("LambdaContext", context))
            if time.monotonic() > deadline:
                raise FunctionTimedOutError(f"{self.name} took longer than {limit_seconds:g} s.")
            return answer

    def finish(self, *, seconds: float) -> bool:
        """Let calls that are under way come to their end, for so long, and let none begin after them.

        False when they have not.
        """
        deadline = time.monotonic() + seconds
        for _ in range(self.slots):
            if not self._slots.acquire(timeout=max(deadline - time.monotonic(), 0)):
                logger.warning("%s is left in the middle of its work", self.name)
                return False
        return True


def load_function(resource: FunctionResource) -> LocalFunction:
    """Import a function's module. It wires itself as in Lambda: now."""
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = resource.name
    return LocalFunction(resource, importlib.import_module(module_of(resource.name)).handler)
