"""Webhook settings of local mode: a generated secret by default, and receivers on this machine."""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

from gateway.errors import SettingsInvalidError

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
        return {"WEBHOOK_SECRET": _stored_secret(file)}
    given = {"WEBHOOK_SECRET": settings.webhook_secret, "WEBHOOK_SECRET_PREVIOUS": settings.webhook_secret_previous}
    return {name: secret.get_secret_value() for name, secret in given.items() if secret}


def _stored_secret(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeError):
        raise SettingsInvalidError(f"DATA_DIR: cannot read {file}") from None
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.write(secret + "\n")
    except OSError as error:
        raise SettingsInvalidError(f"DATA_DIR: cannot write {file}: {error.strerror}") from None
    return secret
