"""The composition root of the functions that no request calls, and their log. Nothing that a caller sent is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools.logging import Logger

from functions.adapters import Adapters
from functions.entry import wired_once
from gateway.settings import BackgroundSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from functions.wiring import Handler

# The level comes with the settings. Without one here Powertools would read the variable itself, and tell a wrong one.
logger = Logger(service="background", level="INFO", log_uncaught_exceptions=False)


class Background(Adapters):
    """What these functions are made of."""

    settings: BackgroundSettings


def entry_point(make_handler: Callable[[Background], Handler]) -> Handler:
    """Make the function that Lambda calls."""

    def wire(environment: Mapping[str, str]) -> Handler:
        settings = BackgroundSettings.from_environment(environment)
        logger.setLevel(settings.log_level)
        return make_handler(Background(settings))

    return wired_once(wire)
