"""Checks a file of settings, `.env`: names that nothing reads, and values that are invalid."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from gateway.errors import SettingsInvalidError
from gateway.settings import ApiSettings, BackgroundSettings, ExecutorSettings, LocalSettings, WebhookSecretSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLASSES = (LocalSettings, ApiSettings, BackgroundSettings, ExecutorSettings, WebhookSecretSettings)
KNOWN_NAMES = frozenset(name.upper() for settings in _CLASSES for name in settings.model_fields)
# Read by boto3, by HTTP clients and terminals, and by this command itself.
_OTHER_NAMES = re.compile(r"(AWS|COMFYUI_GATEWAY)_[A-Z_]+|(https?|all|no)_proxy|NO_COLOR|TZ", re.IGNORECASE)


def is_known(name: str) -> bool:
    """Return whether a file of settings may set this variable.

    Any other could make a program run code, like PYTHONPATH and LD_PRELOAD do, and the file may come with a folder
    that somebody else made.
    """
    return name in KNOWN_NAMES or _OTHER_NAMES.fullmatch(name) is not None


def unknown_names(variables: Mapping[str, str]) -> list[str]:
    """Describe each name that is not a setting, with the setting that is probably meant."""
    return [f"{name} is not a setting{_suggestion(name)}" for name in variables if not is_known(name)]


def secret_names(variables: Mapping[str, str]) -> list[str]:
    """Return the names of the variables whose values are secrets."""
    secret = {
        name.upper()
        for settings in _CLASSES
        for name, field in settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    return [name for name, value in variables.items() if value and name in {*secret, "API_KEYS"}]


def invalid_values(variables: Mapping[str, str]) -> list[str]:
    """Describe each invalid value, without quoting it."""
    problems: dict[str, None] = {}
    for settings in _CLASSES:
        # Settings that a deployment provides are not expected in the file.
        required = {name.upper() for name, field in settings.model_fields.items() if field.is_required()}
        try:
            settings.from_environment({**dict.fromkeys(required, "x" * 32), **variables})
        except SettingsInvalidError as error:
            problems |= dict.fromkeys(f"{name}: {reason}" for name, reason in error.problems.items())
    return list(problems)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name.upper(), KNOWN_NAMES, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""
