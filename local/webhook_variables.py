"""Webhook settings of local mode: a generated secret by default, and receivers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.stored_secret import stored_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.settings import LocalSettings

SECRET_VARIABLES = ("WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS")
_LOCAL_RECEIVER_VARIABLES = ("WEBHOOK_ALLOW_HTTP", "WEBHOOK_ALLOW_LOOPBACK")


def receiver_variables(environment: Mapping[str, str], *, open_access: bool) -> dict[str, str]:
    """Return the variables that allow receivers on this machine, unless the environment sets them.

    They are allowed in open access only, where every caller is a process of this machine. With keys or JWTs, callers
    could send requests to other processes here that trust this machine.
    """
    default = str(open_access).lower()
    return {name: environment.get(name) or default for name in _LOCAL_RECEIVER_VARIABLES}


def secret_variables(settings: LocalSettings, file: Path) -> dict[str, str]:
    """Return the signing secrets for the functions. If none is set, generate one and store it in a file."""
    if settings.webhook_secret is None:
        return {"WEBHOOK_SECRET": stored_secret(file, prefix="whsec_")}
    given = {"WEBHOOK_SECRET": settings.webhook_secret, "WEBHOOK_SECRET_PREVIOUS": settings.webhook_secret_previous}
    return {name: secret.get_secret_value() for name, secret in given.items() if secret}
