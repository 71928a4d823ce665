"""How a module's `handler` comes about: wired once per process, by the environment and its secrets."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from gateway.aws.secrets import with_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from functions.wiring.api import Handler


def wired_once(wire: Callable[[Mapping[str, str]], Handler]) -> Handler:
    """Make the function that Lambda calls. `wire` makes it of the environment.

    In Lambda the wiring happens at import: that phase has a whole CPU, whatever the function's memory.
    Elsewhere it happens at the first call, so that importing a module needs no environment.
    """

    @cache
    def wired() -> Handler:
        return wire(with_secrets(os.environ))

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return wired()(event, context)

    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        wired()
    return handler
