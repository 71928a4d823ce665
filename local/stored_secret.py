"""Secrets that local mode generates once and stores in a file of DATA_DIR."""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING

from gateway.errors import SettingsInvalidError

if TYPE_CHECKING:
    from pathlib import Path


def stored_secret(file: Path, *, prefix: str = "") -> str:
    """Return the secret in a file, which only its owner can read; generate it first if there is none.

    Raises SettingsInvalidError when the file cannot be read or written.
    """
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeError):
        raise SettingsInvalidError(f"DATA_DIR: cannot read {file}") from None
    secret = prefix + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.write(secret + "\n")
    except OSError as error:
        raise SettingsInvalidError(f"DATA_DIR: cannot write {file}: {error.strerror}") from None
    return secret
