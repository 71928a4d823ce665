"""Files of NAME=value lines, in the syntax of a shell: `.env`, profiles, and the environment of a local gateway."""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import TYPE_CHECKING

from cli.exit_codes import CommandFailedError

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
_MAX_BYTES = 64 * 1024


def parse(text: str, where: str) -> dict[str, str]:
    """Parse lines; quotes are as in a shell, nothing is expanded. Raises CommandFailedError, which quotes no value."""
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        try:
            words = shlex.split(match["value"]) if match else []
        except ValueError:
            match = None
        if match is None or len(words) > 1:
            raise CommandFailedError(f"{where}, line {number}: must be NAME=value, with quotes around spaces")
        variables[match["name"]] = "".join(words)
    return variables


def read(file: Path) -> dict[str, str] | None:
    """Read a file; None if it does not exist. Raises CommandFailedError."""
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise CommandFailedError(f"Cannot read {file}: {_reason(error)}") from None
    if len(text) > _MAX_BYTES:
        raise CommandFailedError(f"{file} has more than {_MAX_BYTES} characters")
    return parse(text, str(file))


def write(file: Path, text: str, *, replace: bool) -> None:
    """Write a file that only its owner can read. Raises CommandFailedError if it exists, unless `replace`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if replace:
            file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CommandFailedError(f"{file} exists", advice="Replace it with --force.") from None
    except OSError as error:
        raise CommandFailedError(f"Cannot write {file}: {_reason(error)}") from None


def is_exposed(file: Path) -> bool:
    """Return whether other users may read or change a file; always False on Windows."""
    return os.name == "posix" and bool(file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def line(name: str, value: str) -> str:
    """Return a line that `parse` and a shell read as this value."""
    return f"{name}={shlex.quote(value)}\n"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is not UTF-8"
