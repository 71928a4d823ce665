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
        stored = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _new_secret(file, prefix)
    except (OSError, UnicodeError):
        raise SettingsInvalidError(f"DATA_DIR: cannot read {file}") from None
    if not stored:
        raise SettingsInvalidError(f"DATA_DIR: {file} is empty: delete it, and a new secret is generated")
    return stored


def _new_secret(file: Path, prefix: str) -> str:
    secret = prefix + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
    try:
        # Renamed when it is complete: a kill or a full disk must not leave an empty file.
        part = file.with_name(f"{file.name}.new")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as stream:
            stream.write(secret + "\n")
        part.replace(file)
    except OSError as error:
        raise SettingsInvalidError(f"DATA_DIR: cannot write {file}: {error.strerror}") from None
    return secret
