"""Call the handler of a function as Lambda does: limited concurrency, a context and a time limit."""

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
    """A function that event sources call from their threads, one call at a time unless it has a max_concurrency.

    A thread cannot be stopped as Lambda stops a process. A call that takes too long completes, but counts as failed,
    so that the problem shows in local mode as well.
    """

    def __init__(self, resource: FunctionResource, handler: Handler) -> None:
        self._resource = resource
        self._handler = handler
        self._slots = threading.BoundedSemaphore(self.slots)

    @property
    def slots(self) -> int:
        """The number of concurrent calls."""
        return self._resource.max_concurrency or 1

    @property
    def name(self) -> str:
        """The name, for the log."""
        return self._resource.name

    def invoke(self, event: dict[str, Any]) -> Any:  # noqa: ANN401  any result
        """Call the handler. Raises what it raises, and FunctionTimedOutError."""
        limit_seconds = self._resource.timeout_seconds
        with self._slots:
            deadline = time.monotonic() + limit_seconds
            context = LocalContext(function_name=self.name, aws_request_id=str(uuid.uuid4()), deadline=deadline)
            result = self._handler(event, cast("LambdaContext", context))
            if time.monotonic() > deadline:
                raise FunctionTimedOutError(f"{self.name} took longer than {limit_seconds:g} s.")
            return result

    def finish(self, *, seconds: float) -> bool:
        """Wait for running calls, at most this long, and start no others. Return whether they have completed."""
        deadline = time.monotonic() + seconds
        for _ in range(self.slots):
            if not self._slots.acquire(timeout=max(deadline - time.monotonic(), 0)):
                logger.warning("function still running at shutdown: %s", self.name)
                return False
        return True


def load_function(resource: FunctionResource) -> LocalFunction:
    """Import the module of a function, which wires itself at import, as in Lambda."""
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = resource.name
    return LocalFunction(resource, importlib.import_module(module_of(resource.name)).handler)
