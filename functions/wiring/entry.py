"""The entry point of a function: what Lambda calls, wired once per process from the environment and its secrets."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.aws.secrets import with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

Wiring = TypeVar("Wiring")


class EntryPoint(Generic[Wiring]):
    """A module's `handler`. `make_handler` makes the handler from a wiring, in tests from one of their own.

    In Lambda the wiring happens at import: that phase has a whole CPU, whatever the function's memory.
    Elsewhere it happens at the first call, so that importing a module needs no environment.
    """

    def __init__(self, wire: Callable[[Mapping[str, str]], Wiring], make_handler: Callable[[Wiring], Handler]) -> None:
        self._wire = wire
        self.make_handler = make_handler
        if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
            self._handler  # noqa: B018  made here, used by each call

    @cached_property
    def _handler(self) -> Handler:
        return self.make_handler(self._wire(with_secrets(os.environ)))

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Handle one event."""
        return self._handler(event, context)
